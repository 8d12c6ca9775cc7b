/**
 * The headers of one message. What came from the wire stays one latin1 text with a table of offsets; what a proxy adds is
 * kept beside it, and what it removes is only marked. So a head is forwarded by copying what stands between the marks (the
 * bytes themselves, as long as they are there), and a header costs a string only when somebody asks for its value.
 */
import type { PieceOutput } from "./byte-output.ts";
import { bitOf, type HeaderName, otherBitOf, spells, uninternedName, writeHeaderLine } from "./header-name.ts";

/** Per header: name start, name end, value start, value end, hash, state. Its line ends where the next one's name starts. */
const WIDTH = 6;
const STATE = 5;
const INITIAL_HEADERS = 16;
const KEPT = 0;
const REMOVED = 1;

export class HeaderBlock {
  /** Head as it came, from the first byte of the start line; "" for a block made by us. */
  text = "";
  /** Headers in `text`, removed ones included. */
  count = 0;
  #at = new Int32Array(WIDTH * INITIAL_HEADERS);
  /** Where the first header line begins in `text`, and where the blank line does. */
  linesStart = 0;
  linesEnd = 0;
  /** Added headers; the arrays keep their size, `#added` says how many count. */
  readonly #addedNames: HeaderName[] = [];
  readonly #addedValues: string[] = [];
  #added = 0;
  #anyRemoved = false;
  /** The bytes of `text`, which begins at `#sourceAt`, as long as they are the connection's to lend. */
  #source: Uint8Array | undefined;
  #sourceAt = 0;
  /** Bits of all names that came from the wire: most look-ups end here. */
  #bits = 0;
  #otherBits = 0;
  #addedBits = 0;
  #addedOtherBits = 0;

  reset(): void {
    this.text = "";
    this.count = 0;
    this.linesStart = 0;
    this.linesEnd = 0;
    this.#anyRemoved = false;
    this.#source = undefined;
    this.#bits = 0;
    this.#otherBits = 0;
    this.#addedBits = 0;
    this.#addedOtherBits = 0;
    this.#added = 0;
  }

  /** Called by a parser, in order of the lines. Offsets are into `text`, which the parser sets when the head is whole. */
  mark(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, hash: number): void {
    let at = this.#at;
    const base = this.count * WIDTH;
    if (base + WIDTH > at.length) {
      const wider = new Int32Array(at.length * 2);
      wider.set(at);
      this.#at = at = wider;
    }
    at[base] = nameStart;
    at[base + 1] = nameEnd;
    at[base + 2] = valueStart;
    at[base + 3] = valueEnd;
    at[base + 4] = hash;
    at[base + STATE] = KEPT;
    this.#bits |= bitOf(hash);
    this.#otherBits |= otherBitOf(hash);
    this.count++;
  }

  /** False: surely not. */
  #mayHave(name: HeaderName): boolean {
    return ((this.#bits | this.#addedBits) & name.bit) !== 0 && ((this.#otherBits | this.#addedOtherBits) & name.otherBit) !== 0;
  }

  #is(i: number, name: HeaderName): boolean {
    const at = this.#at;
    const base = i * WIDTH;
    return at[base + 4] === name.hash && at[base + STATE] === KEPT && spells(this.text, at[base] ?? 0, at[base + 1] ?? 0, name.lower);
  }

  #value(i: number): string {
    const base = i * WIDTH;
    return this.text.slice(this.#at[base + 2], this.#at[base + 3]);
  }

  has(name: HeaderName): boolean {
    if (!this.#mayHave(name)) return false;
    for (let i = 0; i < this.count; i++) if (this.#is(i, name)) return true;
    for (let i = 0; i < this.#added; i++) if (this.#addedNames[i]?.lower === name.lower) return true;
    return false;
  }

  /** Value; several headers of one name are joined by a comma (RFC 9110 5.3). */
  get(name: HeaderName): string | undefined {
    if (!this.#mayHave(name)) return undefined;
    let found: string | undefined;
    for (let i = 0; i < this.count; i++) {
      if (!this.#is(i, name)) continue;
      const value = this.#value(i);
      found = found === undefined ? value : `${found},${value}`;
    }
    for (let i = 0; i < this.#added; i++) {
      if (this.#addedNames[i]?.lower !== name.lower) continue;
      const value = this.#addedValues[i] ?? "";
      found = found === undefined ? value : `${found},${value}`;
    }
    return found;
  }

  occurrences(name: HeaderName): number {
    if (!this.#mayHave(name)) return 0;
    let n = 0;
    for (let i = 0; i < this.count; i++) if (this.#is(i, name)) n++;
    for (let i = 0; i < this.#added; i++) if (this.#addedNames[i]?.lower === name.lower) n++;
    return n;
  }

  /** The values one by one, when there is more than one header of that name. */
  repeated(name: HeaderName): string[] | undefined {
    if (this.occurrences(name) < 2) return undefined;
    const values: string[] = [];
    for (let i = 0; i < this.count; i++) if (this.#is(i, name)) values.push(this.#value(i));
    for (let i = 0; i < this.#added; i++) if (this.#addedNames[i]?.lower === name.lower) values.push(this.#addedValues[i] ?? "");
    return values;
  }

  add(name: HeaderName, value: string): void {
    this.#addedBits |= name.bit;
    this.#addedOtherBits |= name.otherBit;
    this.#addedNames[this.#added] = name;
    this.#addedValues[this.#added++] = value;
  }

  set(name: HeaderName, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  remove(name: HeaderName): void {
    if ((this.#bits & name.bit) !== 0 && (this.#otherBits & name.otherBit) !== 0) {
      for (let i = 0; i < this.count; i++) {
        if (!this.#is(i, name)) continue;
        this.#at[i * WIDTH + STATE] = REMOVED;
        this.#anyRemoved = true;
      }
    }
    if ((this.#addedBits & name.bit) === 0 || (this.#addedOtherBits & name.otherBit) === 0) return;
    this.#removeAdded((lower) => lower === name.lower);
  }

  #removeAdded(unwanted: (lowerName: string) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.#added; i++) {
      const name = this.#addedNames[i];
      if (name === undefined || unwanted(name.lower)) continue;
      this.#addedNames[kept] = name;
      this.#addedValues[kept++] = this.#addedValues[i] ?? "";
    }
    this.#added = kept;
  }

  /** Removes headers whose lower-case name satisfies `unwanted`. Builds strings: not for every request. */
  removeWhere(unwanted: (lowerName: string) => boolean): void {
    for (let i = 0; i < this.count; i++) {
      const base = i * WIDTH;
      if (this.#at[base + STATE] !== KEPT) continue;
      if (!unwanted(this.text.slice(this.#at[base], this.#at[base + 1]).toLowerCase())) continue;
      this.#at[base + STATE] = REMOVED;
      this.#anyRemoved = true;
    }
    this.#removeAdded(unwanted);
  }

  /** `text` was read from bytes[at]: until `takeBack` lines are copied from there, which costs a quarter of writing text. */
  lend(bytes: Uint8Array, at: number): void {
    this.#source = bytes;
    this.#sourceAt = at;
  }

  takeBack(): void {
    this.#source = undefined;
  }

  /** Writes the header lines, without the blank line behind them; with `from` 0 also the start line as it came. */
  writeTo(output: PieceOutput, from = this.linesStart): void {
    let start = from;
    if (this.#anyRemoved) {
      const at = this.#at;
      for (let i = 0; i < this.count; i++) {
        const base = i * WIDTH;
        if (at[base + STATE] === KEPT) continue;
        this.#copy(output, start, at[base] ?? 0);
        start = i + 1 === this.count ? this.linesEnd : (at[base + WIDTH] ?? 0);
      }
    }
    this.#copy(output, start, this.linesEnd);
    for (let i = 0; i < this.#added; i++) {
      const name = this.#addedNames[i];
      if (name !== undefined) writeHeaderLine(output, name, this.#addedValues[i] ?? "");
    }
  }

  #copy(output: PieceOutput, from: number, to: number): void {
    if (from >= to) return;
    if (this.#source === undefined) output.write(this.text.slice(from, to));
    else output.writeBorrowed(this.#source, this.#sourceAt + from, this.#sourceAt + to);
  }

  /** Lower-case names with values, in order. For logs and tests. */
  *entries(): IterableIterator<readonly [string, string]> {
    for (let i = 0; i < this.count; i++) {
      const base = i * WIDTH;
      if (this.#at[base + STATE] === KEPT) yield [this.text.slice(this.#at[base], this.#at[base + 1]).toLowerCase(), this.#value(i)];
    }
    for (let i = 0; i < this.#added; i++) yield [this.#addedNames[i]?.lower ?? "", this.#addedValues[i] ?? ""];
  }

  /** A block that does not depend on the connection's buffers (text and table are copied). */
  clone(): HeaderBlock {
    const copy = new HeaderBlock();
    for (const [name, value] of this.entries()) copy.add(uninternedName(name), value);
    return copy;
  }
}
