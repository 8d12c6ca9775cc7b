/** Octets by name; before the table, whose making keeps bundlers from putting later numbers where they are used. */
export const HTAB = 9;
export const LF = 10;
export const CR = 13;
export const SP = 32;
export const COLON = 58;
export const DEL = 127;

/** Classes of octets (RFC 9110 5.6.2, 5.5), one table look-up each. */
export const TOKEN = 1;
/** Allowed in a header value: HTAB, SP, visible, obs-text. */
export const VALUE = 2;
/** Allowed in a request target: visible ASCII. Octets beyond are for nobody to guess the meaning of (RFC 9112 3.2). */
export const TARGET = 4;
/** Allowed in an authority: unreserved, sub-delims, percent, brackets, colon, at. */
export const AUTHORITY = 8;

export const OCTETS: Uint8Array = makeTable();

function makeTable(): Uint8Array {
  const table = new Uint8Array(256);
  const mark = (characters: string, bit: number) => {
    for (const c of characters) table[c.charCodeAt(0)] = (table[c.charCodeAt(0)] ?? 0) | bit;
  };
  const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  mark(`${letters}!#$%&'*+-.^_\`|~`, TOKEN);
  mark(`${letters}-._~%!$&'()*+,;=:[]@`, AUTHORITY);
  table[9] = VALUE;
  for (let b = 0x20; b < 256; b++) if (b !== 0x7f) table[b] = (table[b] ?? 0) | VALUE;
  for (let b = 0x21; b < 0x7f; b++) table[b] = (table[b] ?? 0) | TARGET;
  return table;
}
