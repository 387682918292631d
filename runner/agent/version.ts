/** Version of this runner, as it names itself to the operator. */
export const version = '0.1.0';
