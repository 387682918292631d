import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { envelopeInfo, OutriderError, type CredentialsRequest, type EnvelopeGrant } from '@outrider/protocol';
import { stringFields } from './vault.ts';

/** An ephemeral key for one answer of the operator: RFC 9180 base mode, X25519, HKDF-SHA256, AES-256-GCM. */
export interface EnvelopeKey {
  /** Base64url, for CredentialsRequest.envelopeKey. */
  readonly publicKey: string;
  /** @throws OutriderError EnvelopeInvalid when it was made for another key, attempt or reference, or was altered. */
  open(
    grant: EnvelopeGrant,
    binding: Pick<CredentialsRequest, 'generation' | 'task' | 'epoch' | 'reference'>,
  ): Promise<Record<string, string>>;
}

const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

const invalid = (reference: string, cause?: unknown): OutriderError =>
  new OutriderError(
    {
      code: 'EnvelopeInvalid',
      message: `The credential ${reference} arrived in an envelope that cannot be opened for this attempt.`,
      action:
        'Check that nothing between runner and operator alters requests, and that both have the same version.',
    },
    { cause },
  );

const toBytes = (text: string): ArrayBuffer => new Uint8Array(Buffer.from(text, 'base64url')).buffer;

export const createEnvelopeKey = async (): Promise<EnvelopeKey> => {
  const pair = await suite.kem.generateKeyPair();
  const publicKey = Buffer.from(await suite.kem.serializePublicKey(pair.publicKey)).toString('base64url');

  const decrypt = async (
    grant: EnvelopeGrant,
    binding: Parameters<EnvelopeKey['open']>[1],
  ): Promise<Record<string, unknown>> => {
    const info = new Uint8Array(envelopeInfo(binding)).buffer;
    const params = { recipientKey: pair.privateKey, enc: toBytes(grant.enc), info };
    const plain: unknown = JSON.parse(
      Buffer.from(await suite.open(params, toBytes(grant.ciphertext))).toString(),
    );
    if (typeof plain !== 'object' || plain === null || Array.isArray(plain))
      throw new TypeError('not an object');
    return { ...plain };
  };

  return {
    publicKey,
    open: async (grant, binding) => {
      const fields = await decrypt(grant, binding).catch((error: unknown) => {
        // A JSON parser quotes its input, so only failures before it may be kept as the cause.
        throw invalid(binding.reference, error instanceof SyntaxError ? undefined : error);
      });
      return stringFields(fields, binding.reference);
    },
  };
};
