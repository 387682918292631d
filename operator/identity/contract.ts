import type {
  RegisterRequest,
  RegisterResponse,
  CredentialsResponse,
  TokenResponse,
} from '@outrider/protocol';
import type { AuthenticatedRunner } from '../dispatch/contract.ts';

/** What a request shows of itself, for RFC 9449. */
export interface ProofContext {
  readonly method: string;
  /** Absolute, without query and fragment, as the client used it. */
  readonly url: string;
  readonly authorization: string | undefined;
  readonly dpop: string | undefined;
}

export interface RunnerIdentity {
  /** PEM of the CA that signed the runner API's certificate. */
  readonly caPem: string;
  /** SHA-256 of the CA's SubjectPublicKeyInfo, base64url: what registration tokens pin. */
  readonly caKeyHash: string;
  /** Key and certificate chain for the TLS servers, PEM. */
  readonly tls: { readonly key: string; readonly cert: string };
  /** Called with each renewed certificate, for setSecureContext. Returns how to stop it. */
  onTlsRenewed(listener: (tls: { readonly key: string; readonly cert: string }) => void): () => void;
  /** DPoP-Nonce for every answer. */
  nonce(): string;
  /** Refuses this key from now on, without waiting for its access token to expire. */
  revoked(clientId: string): void;
  createRegistrationToken(request: {
    namespace: string;
    tags: readonly string[] | null;
    local: boolean;
    createdBy: string;
    ttlMs?: number;
  }): Promise<{ token: string; expiresAt: number }>;
  register(request: RegisterRequest): Promise<RegisterResponse>;
  /** The token endpoint; throws Unauthenticated with details {oauthError, dpopNonce} where RFC 6749/9449 want words of their own. */
  issueToken(
    form: Readonly<Record<string, string>>,
    proof: ProofContext,
  ): Promise<{ token: TokenResponse; dpopNonce: string }>;
  authenticate(proof: ProofContext): Promise<AuthenticatedRunner>;
  /** Body of /runner/v1/credentials (a compact JWS). */
  credentials(runner: AuthenticatedRunner, jws: string): Promise<CredentialsResponse>;
}

/** A user of the portal, by Login resource (CLI) . */
export interface PortalUser {
  readonly username: string;
  readonly groups: readonly string[];
}

export interface PortalIdentity {
  /** DPoP-Nonce for every answer. */
  nonce(): string;
  /** Exchanges a Login resource for an access token of an hour bound to the key of its spec (DPoP). */
  issueToken(
    form: Readonly<Record<string, string>>,
    proof: ProofContext,
  ): Promise<{ token: TokenResponse; dpopNonce: string }>;
  authenticate(proof: ProofContext): Promise<PortalUser>;
}

/** Asks the API server: what kubectl refuses, the portal refuses. Cached for seconds. */
export interface AccessReview {
  allowed(
    user: PortalUser,
    access: { verb: string; resource: string; subresource?: string; namespace: string; name?: string },
  ): Promise<boolean>;
}
