/** As much of ELF (64 bit, little endian; "System V ABI", chapters 4 and 5) as an image needs: what a program loads, and where its loaded part ends. */
import { readFileSync } from "node:fs";

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0n;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;
/** Offsets in the file header. */
const E_PHOFF = 32;
const E_SHOFF = 40;
const E_PHENTSIZE = 54;
const E_PHNUM = 56;
const E_SHNUM = 60;
const E_SHSTRNDX = 62;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly sizeInFile: number;
}

export interface Elf {
  /** The dynamic linker that the program asks for; a library asks for none. */
  readonly interpreter: string | undefined;
  /** Names of shared libraries (DT_NEEDED), in their order. */
  readonly needed: readonly string[];
}

/** undefined when the file is none, such as a linker script that is named like a library. */
export function readElf(path: string): Elf | undefined {
  const bytes = readFileSync(path);
  if (!isElf(bytes)) return undefined;
  const segments = segmentsOf(bytes);
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  return { interpreter: interpreter === undefined ? undefined : text(bytes, interpreter.offset), needed: neededBy(bytes, segments) };
}

/**
 * The program without what is never loaded: symbols and debug information (18 of 126 MB of Node). The section table goes
 * too; the kernel and the dynamic linker read segments only.
 */
export function withoutSymbols(program: Uint8Array): Buffer {
  const bytes = Buffer.from(program);
  if (!isElf(bytes)) throw new Error("not an ELF file of 64 bits, little endian");
  const end = Math.max(...segmentsOf(bytes).map(({ offset, sizeInFile }) => offset + sizeInFile));
  const kept = bytes.subarray(0, end);
  kept.writeBigUInt64LE(0n, E_SHOFF);
  kept.writeUInt16LE(0, E_SHNUM);
  kept.writeUInt16LE(0, E_SHSTRNDX);
  return kept;
}

function isElf(bytes: Buffer): boolean {
  const CLASS_64 = 2;
  const LITTLE_ENDIAN = 1;
  return bytes.subarray(0, 4).toString("latin1") === "\x7fELF" && bytes[4] === CLASS_64 && bytes[5] === LITTLE_ENDIAN;
}

function segmentsOf(bytes: Buffer): readonly Segment[] {
  const at = Number(bytes.readBigUInt64LE(E_PHOFF));
  const size = bytes.readUInt16LE(E_PHENTSIZE);
  return Array.from({ length: bytes.readUInt16LE(E_PHNUM) }, (_, index) => {
    const header = bytes.subarray(at + index * size, at + (index + 1) * size);
    const number = (offset: number): number => Number(header.readBigUInt64LE(offset));
    return { type: header.readUInt32LE(0), offset: number(8), address: number(16), sizeInFile: number(32) };
  });
}

function neededBy(bytes: Buffer, segments: readonly Segment[]): readonly string[] {
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (dynamic === undefined) return [];
  const names: number[] = [];
  let strings = 0;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.sizeInFile; at += 16) {
    const tag = bytes.readBigInt64LE(at);
    const value = Number(bytes.readBigUInt64LE(at + 8));
    if (tag === DT_NULL) break;
    if (tag === DT_NEEDED) names.push(value);
    if (tag === DT_STRTAB) strings = fileOffset(segments, value);
  }
  return names.map((name) => text(bytes, strings + name));
}

/** Dynamic entries hold addresses, not offsets. */
function fileOffset(segments: readonly Segment[], address: number): number {
  const segment = segments.find((each) => each.type === PT_LOAD && address >= each.address && address < each.address + each.sizeInFile);
  if (segment === undefined) throw new Error(`address 0x${address.toString(16)} is in no loaded segment`);
  return segment.offset + address - segment.address;
}

function text(bytes: Buffer, offset: number): string {
  return bytes.toString("latin1", offset, bytes.indexOf(0, offset));
}
