import { join } from 'node:path';

/** What the programs of one bench agree on. */
export const benchNamespace = 'bench';
export const issuer = 'https://portal.bench.example';
export const runnerName = (index: number): string => `r-${index}`;
export const keysFolder = (dataDir: string): string => join(dataDir, 'keys');

/** Of one simulated runner. */
export interface Credentials {
  readonly name: string;
  readonly clientId: string;
  /** Ed25519 key pair as in a JWK. */
  readonly x: string;
  readonly d: string;
  readonly token: string;
  /** Seconds from the registrar's work on. */
  readonly expiresIn: number;
}

/** Where simulated runners connect to. */
export interface Server {
  readonly port: number;
  readonly caPem: string;
}
