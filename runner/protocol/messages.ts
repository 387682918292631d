import { Closed, Flag, Integer, List, Maybe, OneOf, Text, type Static } from '@outrider/schema';
import { AttemptList, AttemptRef, TaskResult, TaskSpec } from './task.ts';

/** Paths of the runner API; the version stands in the path. */
export const paths = {
  ca: '/runner/v1/ca',
  register: '/runner/v1/register',
  token: '/runner/v1/token',
  session: '/runner/v1/session',
  poll: '/runner/v1/poll',
  accept: '/runner/v1/accept',
  reports: '/runner/v1/reports',
  logs: '/runner/v1/logs',
  credentials: '/runner/v1/credentials',
  hostKeys: '/runner/v1/host-keys',
  recovery: '/runner/v1/recovery',
  close: '/runner/v1/close',
} as const;

/** Protocol version that both sides name in `session`; the operator refuses others with ProtocolVersionUnsupported. */
export const protocolVersion = 2;

/** At most this many attempts in one message. */
export const maxBatch = 64;

const Instant = () => Text({ maxLength: 32, format: 'date-time' });
const SessionId = () => Text({ maxLength: 64, minLength: 1 });
const Code = () => Text({ maxLength: 64 });
const Tags = () =>
  List(Text({ maxLength: 63, pattern: '^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$' }), { maxItems: 32 });

export const ProblemMessage = Closed({
  code: Code(),
  message: Text({ maxLength: 4096 }),
  action: Text({ maxLength: 4096 }),
});

/** Public Ed25519 key as a JWK (RFC 8037). */
export const PublicJwk = Closed({
  kty: OneOf(['OKP'] as const),
  crv: OneOf(['Ed25519'] as const),
  x: Text({ maxLength: 64 }),
});
export type PublicJwk = Static<typeof PublicJwk>;

/**
 * Join: the registration token is single use and bound to the first key that shows it; the same pair may repeat a lost
 * answer. `proof` is a JWS (EdDSA) over {jti: SHA-256 hex of the token's secret, aud: 'outrider-register', iat} by that key.
 */
export const RegisterRequest = Closed({
  secret: Text({ maxLength: 128 }),
  name: Text({ maxLength: 63, pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$' }),
  tags: Maybe(Tags()),
  publicKey: PublicJwk,
  proof: Text({ maxLength: 2048 }),
  version: Text({ maxLength: 64 }),
});
export type RegisterRequest = Static<typeof RegisterRequest>;
export const RegisterResponse = Closed({
  namespace: Text({ maxLength: 63 }),
  name: Text({ maxLength: 63 }),
  uid: Text({ maxLength: 64 }),
  /** RFC 7638 thumbprint of the key: the client_id of the token endpoint. */
  clientId: Text({ maxLength: 64 }),
  tags: Tags(),
});
export type RegisterResponse = Static<typeof RegisterResponse>;

/** RFC 6749 client_credentials with a signed client assertion (RFC 7523) and a DPoP proof (RFC 9449). Form encoded. */
export interface TokenResponse {
  readonly access_token: string;
  readonly token_type: 'DPoP';
  /** Seconds. */
  readonly expires_in: number;
}

/** What a runner's journal says of an attempt when a session opens. */
export const InventoryItem = Closed({
  ...AttemptRef.properties,
  generation: Text({ maxLength: 64 }),
  state: OneOf(['Accepted', 'Started', 'Finished'] as const),
});
export type InventoryItem = Static<typeof InventoryItem>;

/**
 * Additions to this version of the protocol that the sender understands. Every message is closed: a field that is added
 * later is optional, and is sent only to a peer that has named its addition here.
 */
const Features = () => Maybe(List(Text({ maxLength: 64 }), { maxItems: 64 }));

export const SessionRequest = Closed({
  protocolVersion: Integer({ minimum: 1, maximum: 1000 }),
  version: Text({ maxLength: 64 }),
  /** When the process started: uptime is counted from it. */
  startedAt: Instant(),
  capacity: Integer({ minimum: 1, maximum: 1000 }),
  tags: Maybe(Tags()),
  /** Node types that this runner's own configuration permits. */
  nodes: List(Text({ maxLength: 63 }), { maxItems: 100 }),
  inventory: List(InventoryItem, { maxItems: 1000 }),
  features: Features(),
});
export type SessionRequest = Static<typeof SessionRequest>;

export const Settings = Closed({
  pollMs: Integer({ minimum: 100, maximum: 120_000 }),
  leaseMs: Integer({ minimum: 1000, maximum: 600_000 }),
  /** From the end of a lease: until then a runner has ended its own work under `onLost: Retry`. */
  killGraceMs: Integer({ minimum: 100, maximum: 600_000 }),
});
export type Settings = Static<typeof Settings>;

/** `Continue`: go on, log from `logOffset`. `Abandon`: kill it and forget it; its result is no longer wanted. */
export const InventoryAnswer = Closed({
  ...AttemptRef.properties,
  decision: OneOf(['Continue', 'Abandon'] as const),
  logOffset: Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  error: Maybe(ProblemMessage),
});
export type InventoryAnswer = Static<typeof InventoryAnswer>;
export const SessionResponse = Closed({
  session: SessionId(),
  /** The ledger's generation; every later message names it. */
  generation: Text({ maxLength: 64 }),
  settings: Settings,
  attempts: List(InventoryAnswer, { maxItems: 1000 }),
  /** The ledger was restored: hand in what the journal still has of results that were acknowledged. */
  recovering: Maybe(Flag()),
  features: Features(),
});
export type SessionResponse = Static<typeof SessionResponse>;

export const Envelope = { session: SessionId(), generation: Text({ maxLength: 64 }) };

export const PollRequest = Closed({
  ...Envelope,
  capacity: Integer({ minimum: 0, maximum: 1000 }),
  load: Integer({ minimum: 0, maximum: 1000 }),
  held: AttemptList(1000),
  /** The runner's wall clock: a skew of over 30 s makes it Degraded. */
  now: Instant(),
  /** Finishing what it has; takes nothing new. */
  draining: Maybe(Flag()),
  /** Reasons for which the runner itself says that it is not well. */
  degraded: Maybe(List(Text({ maxLength: 256 }), { maxItems: 10 })),
});
export type PollRequest = Static<typeof PollRequest>;

export const Offer = Closed({ ...AttemptRef.properties, expiresAt: Instant(), spec: TaskSpec });
export type Offer = Static<typeof Offer>;
export const Cancel = Closed({
  ...AttemptRef.properties,
  reason: OneOf(['Cancelled', 'Abandoned'] as const),
});
export type Cancel = Static<typeof Cancel>;

/** One JSON object after any number of white-space keepalive bytes. An error after the first byte stands in `error`. */
export const PollResponse = Closed({
  offers: List(Offer, { maxItems: maxBatch }),
  cancels: List(Cancel, { maxItems: 1000 }),
  settings: Maybe(Settings),
  error: Maybe(ProblemMessage),
});
export type PollResponse = Static<typeof PollResponse>;

export const AcceptRequest = Closed({ ...Envelope, attempts: AttemptList(maxBatch) });
export type AcceptRequest = Static<typeof AcceptRequest>;
export const AttemptAnswer = Closed({
  ...AttemptRef.properties,
  /** `Duplicate`: it was recorded before, with the same content. */
  status: OneOf(['Recorded', 'Duplicate', 'Refused'] as const),
  error: Maybe(ProblemMessage),
});
export type AttemptAnswer = Static<typeof AttemptAnswer>;
export const AcceptResponse = Closed({ attempts: List(AttemptAnswer, { maxItems: maxBatch }) });
export type AcceptResponse = Static<typeof AcceptResponse>;

/** `Started` before the first side effect; `Released` proves that nothing started; `Result` ends the attempt. */
export const Report = Closed({
  ...AttemptRef.properties,
  kind: OneOf(['Started', 'Released', 'Result'] as const),
  startedAt: Maybe(Instant()),
  /** Executor entry minus offer's arrival at the runner, in microseconds; a measurement, not a fact to act on. */
  startLatencyUs: Maybe(Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  result: Maybe(TaskResult),
});
export type Report = Static<typeof Report>;
export const ReportsRequest = Closed({
  ...Envelope,
  reports: List(Report, { maxItems: maxBatch }),
  /** Free slots after these reports: the answer carries the next offers. */
  free: Maybe(Integer({ minimum: 0, maximum: 1000 })),
});
export type ReportsRequest = Static<typeof ReportsRequest>;
export const ReportsResponse = Closed({
  reports: List(AttemptAnswer, { maxItems: maxBatch }),
  offers: List(Offer, { maxItems: maxBatch }),
});
export type ReportsResponse = Static<typeof ReportsResponse>;

/** `offset` is what the operator now holds; with `error` log_gap the runner resends from there. */
export const LogAnswer = Closed({
  ...AttemptRef.properties,
  offset: Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  error: Maybe(ProblemMessage),
});
export type LogAnswer = Static<typeof LogAnswer>;
export const LogsResponse = Closed({ attempts: List(LogAnswer, { maxItems: 1000 }) });
export type LogsResponse = Static<typeof LogsResponse>;

/**
 * Body of `credentials`: a compact JWS (EdDSA) by the runner's key over this object, so that whoever ends the TLS in
 * between cannot put a key of its own in place of the runner's.
 */
export const CredentialsRequest = Closed({
  ...Envelope,
  ...AttemptRef.properties,
  reference: Text({ maxLength: 512 }),
  /** Ephemeral X25519 public key, base64url, for HPKE (RFC 9180) base mode. */
  envelopeKey: Text({ maxLength: 64 }),
});
export type CredentialsRequest = Static<typeof CredentialsRequest>;

/** The runner itself reads Vault, with a JWT that the operator signed for this attempt. */
export const VaultGrant = Closed({
  kind: OneOf(['Vault'] as const),
  address: Text({ maxLength: 1024 }),
  caBundle: Maybe(Text({ maxLength: 65_536 })),
  vaultNamespace: Maybe(Text({ maxLength: 253 })),
  /** Mount of the jwt auth method, its role, and the token. */
  authMount: Text({ maxLength: 253 }),
  role: Text({ maxLength: 253 }),
  jwt: Text({ maxLength: 8192 }),
  /** KV version 2 mount and path of the secret below it. */
  mount: Text({ maxLength: 253 }),
  path: Text({ maxLength: 1024 }),
});
export type VaultGrant = Static<typeof VaultGrant>;

/** HPKE: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; info = envelopeInfo(); plaintext = JSON {field: string}. */
export const EnvelopeGrant = Closed({
  kind: OneOf(['Envelope'] as const),
  enc: Text({ maxLength: 128 }),
  ciphertext: Text({ maxLength: 2_000_000 }),
});
export type EnvelopeGrant = Static<typeof EnvelopeGrant>;
export const CredentialsResponse = Closed({ vault: Maybe(VaultGrant), envelope: Maybe(EnvelopeGrant) });
export type CredentialsResponse = Static<typeof CredentialsResponse>;

/** HPKE `info`: binds an envelope to the one attempt and reference that it was made for. */
export const envelopeInfo = (
  request: Pick<CredentialsRequest, 'generation' | 'task' | 'epoch' | 'reference'>,
): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify([
      'outrider-envelope-v1',
      request.generation,
      request.task,
      request.epoch,
      request.reference,
    ]),
  );

export const CloseRequest = Closed({ ...Envelope });
export type CloseRequest = Static<typeof CloseRequest>;
