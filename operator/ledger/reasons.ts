/** Why a task waits, in words that the planner and the commands share. */
export const pausedWhy = {
  reason: 'Paused',
  message: 'The run is paused. It goes on when spec.desiredState is Running again.',
} as const;
