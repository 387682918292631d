import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** A way of writing a secret, and its bytes. */
interface Form {
  readonly encoding: string;
  readonly bytes: Buffer;
}

/** At least one of these is whole in what any tool prints in lines of 64 or 76 characters. */
const piecesOf = (text: string, encoding: string): Form[] => {
  const pieces: Form[] = [];
  for (let at = 0; at + 32 <= text.length; at += 16)
    pieces.push({ encoding, bytes: Buffer.from(text.slice(at, at + 32)) });
  return pieces;
};

/** Base64 of the secret wherever it stands in a longer text; sextets shared with a neighbour are left out. */
const base64Forms = (raw: Buffer): Form[] =>
  [0, 1, 2].flatMap((before) => {
    const bits = Array.from(raw, (byte) => byte.toString(2).padStart(8, '0')).join('');
    const start = (6 - ((before * 8) % 6)) % 6;
    const sextets = bits.slice(start).match(/.{6}/g) ?? [];
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    const text = sextets.map((each) => alphabet.charAt(Number.parseInt(each, 2))).join('');
    const forms = [text, text.replaceAll('+', '-').replaceAll('/', '_')];
    const whole = forms.map((form) => ({ encoding: `base64 at offset ${before}`, bytes: Buffer.from(form) }));
    return [...whole, ...piecesOf(text, `a piece of base64 at offset ${before}`)];
  });

const textForms = (secret: string, raw: Buffer): readonly (readonly [string, string])[] => {
  const hex = raw.toString('hex');
  const named: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return [
    ['raw', secret],
    ['hex', hex],
    ['upper hex', hex.toUpperCase()],
    ['url', encodeURIComponent(secret)],
    ['form url', new URLSearchParams({ a: secret }).toString().slice(2)],
    ['every byte as url', hex.replaceAll(/../g, '%$&')],
    ['json', JSON.stringify(secret).slice(1, -1)],
    ['json in json', JSON.stringify(JSON.stringify(secret).slice(1, -1)).slice(1, -1)],
    ['xml', secret.replaceAll(/[&<>"]/g, (character) => named[character] ?? character)],
    ['shell', secret.replaceAll("'", `'\\''`)],
  ];
};

/** Every way in which the secret could stand somewhere; written apart from the product, which has its own list. */
export const formsOf = (secret: string): Form[] => {
  const raw = Buffer.from(secret);
  const texts = textForms(secret, raw).map(([encoding, text]) => ({ encoding, bytes: Buffer.from(text) }));
  const wide = { encoding: 'UTF-16LE', bytes: Buffer.from(secret, 'utf16le') };
  return [...texts, ...base64Forms(raw), wide];
};

/** A secret by a name that may be printed. */
export interface NamedSecret {
  readonly name: string;
  readonly forms: readonly Form[];
}

/** The secret itself, or of a key each line of its body. */
export const namedSecrets = (secrets: Readonly<Record<string, string>>): NamedSecret[] =>
  Object.entries(secrets).flatMap(([name, value]) =>
    value
      .split('\n')
      .filter((line) => line.length >= 16 && !line.startsWith('-----'))
      .map((line, index) => ({ name: `${name}, line ${index + 1}`, forms: formsOf(line) })),
  );

/** Where something may have leaked to. */
export interface Place {
  readonly where: string;
  readonly content: Buffer;
}

const withoutBreaks = (content: Buffer): Buffer =>
  Buffer.from(content.toString('latin1').replaceAll(/\s+/g, ''), 'latin1');

/** `SECRET as ENCODING in PLACE` for all that is found, also where a text was broken into lines. */
export const search = (secrets: readonly NamedSecret[], places: readonly Place[]): string[] =>
  places.flatMap(({ where, content }) => {
    const joined = withoutBreaks(content);
    const found = ({ bytes }: Form): boolean => content.includes(bytes) || joined.includes(bytes);
    return secrets.flatMap(({ name, forms }) =>
      forms.filter(found).map(({ encoding }) => `${name} as ${encoding} in ${where}`),
    );
  });

/** Every file below the folder. */
export const filesBelow = (folder: string): Place[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      const where = join(parentPath, name);
      return { where, content: readFileSync(where) };
    });

const asBytes = (value: unknown): Buffer => {
  if (value instanceof Uint8Array) return Buffer.from(value);
  return Buffer.from(String(value));
};

const tablesOf = (path: string): Place[] => {
  const database = new DatabaseSync(path);
  try {
    const tables = database.prepare("select name from sqlite_schema where type = 'table'").all();
    return tables.map(({ name }) => {
      const statement = database.prepare(`select * from "${String(name)}"`);
      statement.setReadBigInts(true);
      const content = Buffer.concat(statement.all().flatMap((row) => Object.values(row).map(asBytes)));
      return { where: `table ${String(name)} of ${path}`, content };
    });
  } finally {
    database.close();
  }
};

const sqliteMagic = 'SQLite format 3\0';

/**
 * Every table of every database below the folder, its values one after another. They are read from a copy in `scratch`:
 * whoever has the databases open may have locked them.
 */
export const tablesBelow = (folder: string, scratch: string): Place[] => {
  cpSync(folder, scratch, { recursive: true });
  return filesBelow(scratch)
    .filter(({ content }) => content.subarray(0, sqliteMagic.length).toString('latin1') === sqliteMagic)
    .flatMap(({ where }) => tablesOf(where));
};
