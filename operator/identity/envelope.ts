import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { OutriderError, envelopeInfo, type CredentialsRequest, type EnvelopeGrant } from '@outrider/protocol';

/** RFC 9180 base mode, aad empty. runner/secrets opens with the same. */
const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

const recipientKey = async (envelopeKey: string) => {
  const raw = Uint8Array.from(Buffer.from(envelopeKey, 'base64url'));
  try {
    if (raw.length !== 32) throw new RangeError(`${raw.length} bytes`);
    return await suite.kem.deserializePublicKey(raw.buffer);
  } catch (cause) {
    throw new OutriderError(
      {
        code: 'EnvelopeInvalid',
        message: 'The envelopeKey is not an X25519 public key (32 bytes, base64url).',
        action: 'Send a fresh ephemeral key with each request for credentials.',
      },
      { cause },
    );
  }
};

const base64url = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString('base64url');

/**
 * Seals the fields of a credential so that only the holder of the request's ephemeral key can read them, and only as the
 * answer for this generation, attempt and reference.
 * @throws OutriderError EnvelopeInvalid when envelopeKey is no key.
 */
export const sealEnvelope = async (
  request: Pick<CredentialsRequest, 'generation' | 'task' | 'epoch' | 'reference' | 'envelopeKey'>,
  fields: Readonly<Record<string, string>>,
): Promise<EnvelopeGrant> => {
  const recipientPublicKey = await recipientKey(request.envelopeKey);
  const plaintext = new TextEncoder().encode(JSON.stringify(fields));
  const { enc, ct } = await suite.seal({ recipientPublicKey, info: envelopeInfo(request) }, plaintext);
  return { kind: 'Envelope', enc: base64url(enc), ciphertext: base64url(ct) };
};
