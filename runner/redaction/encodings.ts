const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'utf8'));

/**
 * Base64 of `bytes` wherever they stand in a longer input. Their offset modulo 3 in that input decides how they fall
 * into sextets, so there are three forms. A sextet that also holds bits of a neighbour is left out of the pattern: it
 * cannot be known. With `o` bytes in front, the whole sextets are those from ⌈8o/6⌉ to ⌊8(o+n)/6⌋. Where nothing
 * follows, the last one is filled with zeros and is a form of its own.
 */
const base64 = (bytes: Uint8Array): string[] => {
  const forms: string[] = [];
  for (let offset = 0; offset < 3; offset += 1) {
    const padded = Buffer.concat([Buffer.alloc(offset), bytes]);
    const first = Math.ceil((offset * 8) / 6);
    const end = Math.floor((padded.length * 8) / 6);
    for (const text of [padded.toString('base64').replace(/=+$/, ''), padded.toString('base64url')])
      forms.push(text.slice(first, end), text.slice(first));
  }
  return forms;
};

/** Columns at which base64 tools break lines: coreutils and MIME at 76, PEM at 64. */
const wrapColumns = [76, 64];

/** A piece of a wrapped line shorter than this says too little to be worth a pattern, and would match by chance. */
const shortestPiece = 16;

/** The lines that `base64 FILE` prints for a secret that is longer than one of them. */
const wrappedBase64 = (bytes: Uint8Array): string[] => {
  const encoded = Buffer.from(bytes)
    .toString('base64')
    .slice(0, Math.floor((bytes.length * 8) / 6));
  const lines: string[] = [];
  for (const columns of wrapColumns.filter((width) => encoded.length > width)) {
    for (let at = 0; at < encoded.length; at += columns) lines.push(encoded.slice(at, at + columns));
  }
  return lines.filter((line) => line.length >= shortestPiece);
};

/** Of base64 this much in a row is never chance. */
const windowLength = 16;

/**
 * Every sixteen characters of the secret's base64: a tool that breaks lines cuts a secret that stands somewhere within a
 * longer text at a place that nobody can foresee, and what is left on each side still shows most of it.
 */
const base64Windows = (bytes: Uint8Array): string[] => {
  const windows: string[] = [];
  for (let offset = 0; offset < 3; offset += 1) {
    const padded = Buffer.concat([Buffer.alloc(offset), bytes]);
    const end = Math.floor((padded.length * 8) / 6);
    const text = padded.toString('base64').slice(Math.ceil((offset * 8) / 6), end);
    for (let at = 0; at + windowLength <= text.length; at += 1)
      windows.push(text.slice(at, at + windowLength));
  }
  return windows;
};

const hexByte = (byte: number): string => byte.toString(16).padStart(2, '0');

/** `kept` matches the characters that stand for themselves; `space` is how a space is written. */
const percent = (bytes: Uint8Array, kept: RegExp, space = '%20'): string[] => {
  const write = (escape: (byte: number) => string): string =>
    Array.from(bytes, (byte) => {
      if (byte === 0x20) return space;
      const character = String.fromCharCode(byte);
      return kept.test(character) ? character : escape(byte);
    }).join('');
  return [write((byte) => `%${hexByte(byte)}`), write((byte) => `%${hexByte(byte).toUpperCase()}`)];
};

const percentForms = (bytes: Uint8Array): string[] => [
  ...percent(bytes, /^$/),
  ...percent(bytes, /[A-Za-z0-9\-._~]/),
  ...percent(bytes, /[A-Za-z0-9\-._~!'()*]/),
  ...percent(bytes, /[A-Za-z0-9\-._*]/, '+'),
  ...percent(bytes, /[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]/),
];

const unicodeEscape = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** As JavaScript writes it, then with what other libraries escape as well: Go <>&, PHP the slash, Python all non-ASCII. */
const jsonForms = (text: string): string[] => {
  const plain = JSON.stringify(text).slice(1, -1);
  const ascii = plain.replaceAll(/[\u0080-\uffff]/g, unicodeEscape);
  const upper = plain.replaceAll(/[\u0080-\uffff]/g, (c) => `\\u${unicodeEscape(c).slice(2).toUpperCase()}`);
  return [
    plain,
    plain.replaceAll(/[<>&\u2028\u2029]/g, unicodeEscape),
    plain.replaceAll('/', '\\/'),
    ascii,
    upper,
  ];
};

const ansiC: Readonly<Record<string, string>> = {
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  "'": "\\'",
  '\\': '\\\\',
};

/** Inside '…' with the quote written as '\'' or '"'"', as `printf %q` escapes, and as `set -x` writes control characters. */
const shellForms = (text: string): string[] => [
  text.replaceAll("'", `'\\''`),
  text.replaceAll("'", `'"'"'`),
  text.replaceAll(/[^A-Za-z0-9_.,:/@%+=\u0080-\uffff-]/g, '\\$&'),
  text.replaceAll(/[\n\r\t'\\]/g, (character) => ansiC[character] ?? character),
];

const xmlNamed: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};
const xmlDecimal: Readonly<Record<string, string>> = { ...xmlNamed, '"': '&#34;', "'": '&#39;' };
const xmlHex: Readonly<Record<string, string>> = { ...xmlNamed, '"': '&#x22;', "'": '&#x27;' };

/** In text (quotes stand), in attributes, and with the numeric references that HTML escapers prefer. */
const xmlForms = (text: string): string[] => {
  const write = (characters: RegExp, names: Readonly<Record<string, string>>): string =>
    text.replaceAll(characters, (character) => names[character] ?? character);
  return [
    write(/[&<>]/g, xmlNamed),
    write(/[&<>"]/g, xmlNamed),
    write(/[&<>"']/g, xmlNamed),
    write(/[&<>"']/g, xmlDecimal),
    write(/[&<>"']/g, xmlHex),
    write(/[&<>"']/g, { ...xmlNamed, "'": '&#39;' }),
  ];
};

/** Every form, as bytes, in which a tool may print `secret`, without repetitions. */
export const encodingsOf = (secret: string): Uint8Array[] => {
  const raw = utf8(secret);
  const hex = Buffer.from(raw).toString('hex');
  const forms = new Set([
    secret,
    hex,
    hex.toUpperCase(),
    ...base64(raw),
    ...wrappedBase64(raw),
    // Of a text in several lines its parts are looked for so; the whole has much in it that is no secret.
    ...(/[\r\n]/.test(secret) ? [] : base64Windows(raw)),
    ...percentForms(raw),
    ...jsonForms(secret),
    ...shellForms(secret),
    ...xmlForms(secret),
  ]);
  return [...Array.from(forms, utf8), new Uint8Array(Buffer.from(secret, 'utf16le'))];
};
