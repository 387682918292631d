import { createHash } from 'node:crypto';
import { compileSecrets, type SecretSet } from '../redaction/redactor.ts';

/** Fields of a credential that are no secret: without this, a user called `root` would blacken every log. */
const publicFields = new Set(['username']);

const known = new Map<string, WeakRef<SecretSet>>();

/**
 * The compiled secrets of a credential. Attempts that run at the same time with the same credential share one (a large
 * key takes 30 ms to compile); it goes when the last of them has.
 */
export const secretsOf = (credential: Readonly<Record<string, string>> | undefined): SecretSet => {
  const values = Object.entries(credential ?? {}).flatMap(([field, value]) =>
    publicFields.has(field) ? [] : [value],
  );
  const digest = createHash('sha256').update(JSON.stringify(values)).digest('base64');
  const existing = known.get(digest)?.deref();
  if (existing !== undefined) return existing;
  for (const [key, set] of known) if (set.deref() === undefined) known.delete(key);
  const compiled = compileSecrets(values);
  known.set(digest, new WeakRef(compiled));
  return compiled;
};
