import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Footprint } from '../../servers/footprint.ts';
import type { FleetHandlers } from '../programs/fleet.ts';
import type { OperatorHandlers } from '../programs/operator.ts';
import type { RegistrarHandlers } from '../programs/registrar.ts';
import type { Launcher, Program } from './program.ts';
import type { Server } from './site.ts';

export interface SiteOptions {
  readonly footprint: Footprint;
  readonly launcher: Launcher;
  /** Names its folder and its programs' log files. */
  readonly name: string;
  /** Runners to register. */
  readonly runners: number;
  /** postgres://…; SQLite when absent. */
  readonly ledgerUrl?: string;
}

/** A data folder in which so many runners are registered. */
export interface Site {
  readonly name: string;
  readonly dataDir: string;
  /** Keys and tokens of the runners. */
  readonly file: string;
  readonly runners: number;
  readonly ledgerUrl?: string;
}

export const registerRunners = async (options: SiteOptions): Promise<Site> => {
  const { footprint, launcher, name, runners, ledgerUrl } = options;
  const shared = ledgerUrl === undefined ? {} : { ledgerUrl };
  const dataDir = join(footprint.subfolder(name), 'data');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = join(footprint.subfolder(name), 'runners.json');
  const registrar = await launcher.start<RegistrarHandlers>('registrar', { name: `${name}-registrar` });
  await registrar.call('register', { dataDir, count: runners, file, ...shared });
  await registrar.stop();
  return { name, dataDir, file, runners, ...shared };
};

export const startOperatorProgram = async (
  launcher: Launcher,
  site: Site,
  options: { readonly nodeFlags?: readonly string[]; readonly replica?: number } = {},
): Promise<{ operator: Program<OperatorHandlers>; server: Server }> => {
  const { nodeFlags = [], replica = 0 } = options;
  const operator = await launcher.start<OperatorHandlers>('operator', {
    name: `${site.name}-operator-${replica}`,
    nodeFlags,
  });
  const { dataDir, runners, ledgerUrl } = site;
  const shared = ledgerUrl === undefined ? {} : { ledgerUrl };
  const server = await operator.call('open', { dataDir, runners, leads: replica === 0, ...shared });
  return { operator, server };
};

export interface FleetOptions {
  readonly capacity: number;
  /** Connections begun a second, over all processes. */
  readonly perSecond: number;
  readonly sessions?: boolean;
  readonly processes?: number;
  /** The first of the site's runners that takes part. Default 0. */
  readonly from?: number;
}

/** Simulated runners in a few processes; `all` asks each of them. */
export const startFleet = async (launcher: Launcher, site: Site, server: Server, options: FleetOptions) => {
  const { processes = 1, capacity, perSecond, sessions = true, from = 0 } = options;
  const size = Math.ceil((site.runners - from) / processes);
  const fleets = await Promise.all(
    Array.from({ length: processes }, (_, i) =>
      launcher.start<FleetHandlers>('fleet', { name: `${site.name}-fleet-${i}` }),
    ),
  );
  await Promise.all(
    fleets.map((fleet, i) =>
      fleet.call('start', {
        ...server,
        file: site.file,
        from: from + i * size,
        to: Math.min(site.runners, from + (i + 1) * size),
        capacity,
        perSecond: perSecond / processes,
        sessions,
      }),
    ),
  );
  const all = <T>(ask: (fleet: Program<FleetHandlers>) => Promise<T>): Promise<T[]> =>
    Promise.all(fleets.map(ask));
  return {
    all,
    stop: async () => {
      await all((fleet) => fleet.call('stop'));
      await Promise.all(fleets.map((fleet) => fleet.stop()));
    },
  };
};
export type Fleet = Awaited<ReturnType<typeof startFleet>>;
