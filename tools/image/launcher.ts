/**
 * A program of a few hundred bytes that does one thing: it becomes another program with other arguments. A node has
 * neither Node nor, perhaps, a shell or the libraries that Node needs, and "#!" can pass one argument only: so what the
 * container runtime executes must be a program that is whole in itself (docs/adr/0008).
 */
import { Buffer } from "node:buffer";

export interface Launch {
  /** Absolute. */
  readonly program: string;
  /** What follows the program's name; of those that the launcher itself was given, none is passed on. */
  readonly args: readonly string[];
  /** Written to stdout, before status 1, when the program cannot be started. */
  readonly failure: string;
}

/** Where the kernel is told to put the file; any page that is not the first ones will do. */
const BASE = 0x400000;
const FILE_HEADER = 64;
const PROGRAM_HEADER = 56;
const CODE_AT = BASE + FILE_HEADER + PROGRAM_HEADER;

/** For x86-64, the one machine that images are made for. The environment is passed on. */
export function launcher({ program, args, failure }: Launch): Buffer {
  const codeSize = code({ argv: 0, path: 0, message: 0, messageLength: 0 }).length;
  const argvAt = CODE_AT + codeSize;
  const strings = [program, ...args].map((text) => Buffer.from(`${text}\0`));
  const argvSize = (strings.length + 1) * 8;
  const argv = Buffer.alloc(argvSize);
  let at = argvAt + argvSize;
  strings.forEach((string, index) => {
    argv.writeBigUInt64LE(BigInt(at), index * 8);
    at += string.length;
  });
  const message = Buffer.from(failure);
  const body = Buffer.concat([code({ argv: argvAt, path: argvAt + argvSize, message: at, messageLength: message.length }), argv, ...strings, message]);
  return Buffer.concat([headers(FILE_HEADER + PROGRAM_HEADER + body.length), body]);
}

/** ELF's header, and the one segment: the whole file, readable and executable. */
function headers(size: number): Buffer {
  const bytes = Buffer.alloc(FILE_HEADER + PROGRAM_HEADER);
  const EXECUTABLE = 2;
  const X86_64 = 62;
  const LOAD = 1;
  const READ_AND_EXECUTE = 5;
  // Class 64, little endian, version 1.
  bytes.write("\x7fELF\x02\x01\x01", 0, "latin1");
  bytes.writeUInt16LE(EXECUTABLE, 16);
  bytes.writeUInt16LE(X86_64, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(BigInt(CODE_AT), 24);
  bytes.writeBigUInt64LE(BigInt(FILE_HEADER), 32);
  bytes.writeUInt16LE(FILE_HEADER, 52);
  bytes.writeUInt16LE(PROGRAM_HEADER, 54);
  bytes.writeUInt16LE(1, 56);
  const segment = bytes.subarray(FILE_HEADER);
  segment.writeUInt32LE(LOAD, 0);
  segment.writeUInt32LE(READ_AND_EXECUTE, 4);
  segment.writeBigUInt64LE(BigInt(BASE), 16);
  segment.writeBigUInt64LE(BigInt(BASE), 24);
  segment.writeBigUInt64LE(BigInt(size), 32);
  segment.writeBigUInt64LE(BigInt(size), 40);
  segment.writeBigUInt64LE(0x1000n, 48);
  return bytes;
}

interface Addresses {
  readonly argv: number;
  readonly path: number;
  readonly message: number;
  readonly messageLength: number;
}

/** At entry the stack holds argc, the arguments, a null, the environment. Numbers of calls: execve 59, write 1, exit_group 231. */
function code({ argv, path, message, messageLength }: Addresses): Buffer {
  const load = (register: keyof typeof REGISTERS, value: number): Buffer => {
    const bytes = Buffer.from([REGISTERS[register], 0, 0, 0, 0]);
    bytes.writeUInt32LE(value, 1);
    return bytes;
  };
  const call = (number: number): Buffer => Buffer.concat([load("eax", number), Buffer.from([0x0f, 0x05])]);
  return Buffer.concat([
    // mov rdi, [rsp]; lea rdx, [rsp + rdi*8 + 16]: the environment stands behind argc arguments and their null.
    Buffer.from([0x48, 0x8b, 0x3c, 0x24, 0x48, 0x8d, 0x54, 0xfc, 0x10]),
    load("esi", argv),
    load("edi", path),
    call(59),
    // Only reached when that failed.
    load("edi", 1),
    load("esi", message),
    load("edx", messageLength),
    call(1),
    load("edi", 1),
    call(231),
  ]);
}

/** mov register, 32 bits; the upper half becomes zero. */
const REGISTERS = { eax: 0xb8, edx: 0xba, esi: 0xbe, edi: 0xbf } as const;
