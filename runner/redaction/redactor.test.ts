import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodingsOf } from './encodings.ts';
import { compileSecrets, createRedactor, redactionMark } from './redactor.ts';
import { secretParts } from './secret-parts.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Passes `input` on in pieces of the given sizes, repeated; returns what comes out. */
const throughPieces = (secrets: readonly string[], input: Uint8Array, sizes: readonly number[]): Buffer => {
  const redactor = createRedactor(secrets);
  const out: Uint8Array[] = [];
  for (let at = 0, i = 0; at < input.length; i += 1) {
    const size = sizes[i % sizes.length] ?? 1;
    out.push(Uint8Array.from(redactor.write(input.slice(at, at + size))));
    at += size;
  }
  out.push(redactor.end());
  return Buffer.concat(out);
};

const redact = (secret: string, text: string): string =>
  throughPieces([secret], bytesOf(text), [7]).toString();

/** The definition of redaction, without streams or automata: covers every occurrence of every pattern. */
const byDefinition = (secrets: readonly string[], input: Buffer): Buffer => {
  const covered = new Uint8Array(input.length);
  for (const pattern of secrets.flatMap(secretParts).flatMap(encodingsOf)) {
    for (let at = input.indexOf(pattern); at >= 0; at = input.indexOf(pattern, at + 1))
      covered.fill(1, at, at + pattern.length);
  }
  const out: Uint8Array[] = [];
  for (let at = 0; at < input.length; at += 1) {
    if (covered[at] === 0) out.push(input.subarray(at, at + 1));
    else if (at === 0 || covered[at - 1] === 0) out.push(bytesOf(redactionMark));
  }
  return Buffer.concat(out);
};

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
/** Few letters make overlaps, self-overlaps and near misses likely. */
const dense = (minLength: number) =>
  fc.string({ unit: fc.constantFrom('a', 'b', '\n'), minLength, maxLength: 24 });
const secretText = fc
  .string({ unit: 'binary', minLength: 8, maxLength: 60 })
  .filter((text) => text.trim().length >= 8);

describe('streaming redaction', () => {
  test('equals the definition for any secrets, text and cutting into pieces', () => {
    fc.assert(
      fc.property(
        fc.array(dense(4), { maxLength: 3 }),
        fc.array(dense(0), { maxLength: 12 }),
        sizes,
        (secrets, parts, cut) => {
          const input = Buffer.from([...parts, ...secrets, ...parts].join(''));
          expect(throughPieces(secrets, input, cut)).toEqual(byDefinition(secrets, input));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('leaves no encoding of a secret between the marks, wherever the pieces are cut', () => {
    fc.assert(
      fc.property(
        secretText,
        fc.array(fc.nat()),
        fc.string({ unit: 'binary' }),
        sizes,
        (secret, picks, other, cut) => {
          const forms = secretParts(secret).flatMap(encodingsOf);
          const chosen = [0, ...picks].map((pick) => Buffer.from(forms[pick % forms.length] ?? []));
          const input = Buffer.concat(chosen.flatMap((form) => [Buffer.from(other), form]));
          const output = throughPieces([secret], input, cut).toString('latin1').split(redactionMark);
          expect(output.length).toBeGreaterThan(1);
          for (const form of forms) {
            const leaked = output.some((segment) => segment.includes(Buffer.from(form).toString('latin1')));
            expect(leaked).toBe(false);
          }
        },
      ),
    );
  });

  test('passes bytes without a secret on unchanged, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4000 }), sizes, (input, cut) => {
        expect(throughPieces(['Yb1#xW/0kPq9-unlikely'], input, cut)).toEqual(Buffer.from(input));
      }),
    );
  });

  test('withholds a prefix of a secret until later bytes decide, however slowly they come', () => {
    const redactor = createRedactor(['hunter2hunter3']);
    const written = Array.from('say hunter2hunter', (letter) =>
      Buffer.from(redactor.write(bytesOf(letter))).toString(),
    );
    expect(written.join('')).toBe('say ');
    expect(Buffer.from(redactor.write(bytesOf('3!'))).toString()).toBe('[redacted]!');
  });

  test('passes a withheld prefix on once it cannot become a secret any more', () => {
    const redactor = createRedactor(['hunter2hunter3']);
    expect(redactor.write(bytesOf('hunter2hu'))).toHaveLength(0);
    expect(Buffer.from(redactor.write(bytesOf('nter2h'))).toString()).toBe('hunter2');
    expect(Buffer.from(redactor.end()).toString()).toBe('hunter2h');
  });

  test('does not keep the bytes it was given', () => {
    const redactor = createRedactor(['hunter2']);
    const piece = bytesOf('a hunt');
    expect(Buffer.from(redactor.write(piece)).toString()).toBe('a ');
    piece.fill(0x78);
    expect(Buffer.from(redactor.write(bytesOf('ing'))).toString()).toBe('hunting');
  });

  test('keeps the state of each stream apart', () => {
    const set = compileSecrets(['hunter2']);
    const [one, two] = [set.stream(), set.stream()];
    expect(one.write(bytesOf('hun'))).toHaveLength(0);
    expect(Buffer.from(two.write(bytesOf('ter2'))).toString()).toBe('ter2');
    expect(Buffer.from(one.write(bytesOf('ter2.'))).toString()).toBe('[redacted].');
  });
});

describe('encodings', () => {
  test('base64 is found at every alignment in either alphabet, up to the sextets shared with neighbours', () => {
    // What follows begins with set bits: zeros there look like the filling at the end of the text.
    const following = fc.uint8Array({ min: 0x40, maxLength: 12 });
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 12 }),
        secretText,
        following,
        fc.constantFrom('base64', 'base64url'),
        (before, secret, after, alphabet) => {
          const trimmed = secret.trim();
          const whole = Buffer.concat([before, Buffer.from(trimmed), after]);
          const text = whole.toString(alphabet === 'base64' ? 'base64' : 'base64url');
          const first = Math.ceil((before.length * 8) / 6);
          const shared = Math.floor(((whole.length - after.length) * 8) / 6);
          const end = after.length > 0 ? shared : text.replace(/=+$/, '').length;
          expect(redact(secret, text)).toBe(text.slice(0, first) + redactionMark + text.slice(end));
        },
      ),
    );
  });

  const secret = `p'4"\\ <&é>/x?y`;
  const forms: Record<string, string> = {
    encodeURIComponent: encodeURIComponent(secret),
    'percent-encoded in full, lower case': Array.from(
      Buffer.from(secret),
      (b) => `%${b.toString(16).padStart(2, '0')}`,
    ).join(''),
    'a form field': new URLSearchParams({ k: secret }).toString().slice(2),
    JSON: JSON.stringify(secret).slice(1, -1),
    'JSON as Python writes it': `p'4\\"\\\\ <&\\u00e9>/x?y`,
    'JSON as Go writes it': `p'4\\"\\\\ \\u003c\\u0026é\\u003e/x?y`,
    'JSON as PHP writes it': `p'4\\"\\\\ <&é>\\/x?y`,
    'shell single quotes': `p'\\''4"\\ <&é>/x?y`,
    'shell backslashes': `p\\'4\\"\\\\\\ \\<\\&é\\>/x\\?y`,
    'XML text': `p'4"\\ &lt;&amp;é&gt;/x?y`,
    'an XML attribute': `p&apos;4&quot;\\ &lt;&amp;é&gt;/x?y`,
    HTML: `p&#39;4&quot;\\ &lt;&amp;é&gt;/x?y`,
    hex: Buffer.from(secret).toString('hex'),
    'upper-case hex': Buffer.from(secret).toString('hex').toUpperCase(),
  };
  test.each(Object.entries(forms))('a secret is found in %s', (_name, form) => {
    expect(redact(secret, `before ${form} after`)).toBe('before [redacted] after');
  });

  test('a secret is found in UTF-16LE', () => {
    const output = throughPieces([secret], Buffer.from(`x${secret}y`, 'utf16le'), [3]);
    expect(output).toEqual(
      Buffer.concat([Buffer.from('x', 'utf16le'), bytesOf(redactionMark), Buffer.from('y', 'utf16le')]),
    );
  });
});

describe('parts of secrets', () => {
  const key = [
    '-----BEGIN PRIVATE KEY-----',
    'MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj',
    'MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu',
    '-----END PRIVATE KEY-----',
    '',
  ].join('\n');

  test('each long line of a key is redacted on its own, its boundary is not', () => {
    const line = key.split('\n')[1] ?? '';
    expect(redact(key, `-----BEGIN PRIVATE KEY-----\r\n${line}\r\n`)).toBe(
      '-----BEGIN PRIVATE KEY-----\r\n[redacted]\r\n',
    );
  });

  test('what `base64 KEYFILE` prints is redacted line by line', () => {
    const printed = (
      Buffer.from(key)
        .toString('base64')
        .match(/.{1,76}/g) ?? []
    ).join('\n');
    const kept = redact(key, printed).replaceAll(redactionMark, '').trim();
    expect(kept.length).toBeLessThanOrEqual(4);
  });

  test('what `base64` prints of a longer text shows at most 15 characters in a row of the base64 of a token in it', () => {
    const token = Buffer.from(Array.from({ length: 400 }, (_, i) => (i * 89 + (i >> 3)) % 251)).toString(
      'base64url',
    );
    const text = Buffer.from(`apiVersion: v1\nusers: [{token: ${token}}]\n`).toString('base64');
    const wrapped = text.replaceAll(/.{76}/g, '$&\n');
    const shown = redact(token, wrapped).split(/\n|\[redacted\]/);
    const inner = shown.slice(1, -1).filter((piece) => piece.length > 15);
    expect(inner).toEqual([]);
    expect(shown[0]).toBe(text.slice(0, shown[0]?.length));
  });

  test('the token inside a kubeconfig is redacted where it stands alone', () => {
    const kubeconfig = 'users:\n- name: deploy\n  user:\n    token: "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9"\n';
    expect(redact(kubeconfig, 'Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9')).toBe(
      'Authorization: Bearer [redacted]',
    );
  });

  test.each([
    ['JSON in one line', '{"users":[{"user":{"token":"eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9"}}]}'],
    ['YAML with brackets', 'users:\n- {name: deploy, user: {token: eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9}}\n'],
  ])('the token inside a kubeconfig is redacted where it stands alone: %s', (_, kubeconfig) => {
    expect(redact(kubeconfig, 'token: eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9')).toBe(`token: ${redactionMark}`);
  });

  test('a key that JSON holds with escaped line feeds is redacted as a tool prints it', () => {
    const key = `-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n`;
    const account = JSON.stringify({ type: 'service_account', private_key: key });
    expect(redact(account, 'MIIEvQIBADANBgkqhkiG9w0B')).toBe(redactionMark);
  });

  test('white space around a value does not have to be printed with it', () => {
    expect(redact('hunter2\n', 'is hunter2.')).toBe('is [redacted].');
  });

  test('a value under four characters is left alone', () => {
    expect(redact('yes', 'yes or no')).toBe('yes or no');
    expect(redact(' yes\n', 'yes or no')).toBe('yes or no');
    expect(redact('yess', 'yess or no')).toBe('[redacted] or no');
  });
});

describe('texts that stand alone', () => {
  test('are redacted whole', () => {
    expect(compileSecrets(['hunter2']).redact('wrong password hunter2')).toBe('wrong password [redacted]');
  });

  test('are searched for any encoding', () => {
    const set = compileSecrets(['hunter2']);
    expect(set.contains(`token ${Buffer.from('xhunter2').toString('base64')}`)).toBe(true);
    expect(set.contains('hunter 2')).toBe(false);
  });
});
