/** Pseudo terminals (posix_openpt), for `exec -t`. */
import { closeSync, openSync, writeSync } from "node:fs";
import { ReadStream } from "node:tty";
import { foreign, lastError, libc } from "./libc.ts";

const O_RDWR_NOCTTY_CLOEXEC = 0o2 | 0o400 | 0o2000000;
const O_RDWR_NOCTTY = 0o2 | 0o400;
/** asm-generic/ioctls.h */
const TIOCSWINSZ = 0x5414;
const NAME_BYTES = 128;

interface TerminalCalls {
  posix_openpt(flags: number): number;
  grantpt(fd: number): number;
  unlockpt(fd: number): number;
  ptsname_r(fd: number, name: Uint8Array, size: number): number;
}

let loaded: TerminalCalls | undefined;

function calls(): TerminalCalls {
  if (loaded !== undefined) return loaded;
  const { declare } = foreign();
  loaded = {
    posix_openpt: declare("int posix_openpt(int flags)"),
    grantpt: declare("int grantpt(int fd)"),
    unlockpt: declare("int unlockpt(int fd)"),
    ptsname_r: declare("int ptsname_r(int fd, void *name, size_t size)"),
  };
  return loaded;
}

/** Our end of a terminal, and the other end as a child's three streams. */
export class Terminal {
  readonly stdio: [number, number, number];
  readonly #master: number;
  readonly #slave: number;
  readonly #stream: ReadStream;

  constructor(master: number, slave: number) {
    this.#master = master;
    this.#slave = slave;
    this.stdio = [slave, slave, slave];
    this.#stream = new ReadStream(master);
    // Reading fails with EIO once the last program has closed the other end: that is its end.
    this.#stream.on("error", () => this.#stream.destroy());
  }

  onOutput(received: (bytes: Uint8Array) => void): void {
    this.#stream.on("data", received);
  }

  onEnd(ended: () => void): void {
    if (this.#stream.destroyed) ended();
    else this.#stream.once("close", ended);
  }

  write(bytes: Uint8Array): void {
    try {
      writeSync(this.#master, bytes);
    } catch {
      // The program is gone.
    }
  }

  resize(columns: number, rows: number): void {
    const size = Buffer.alloc(8);
    size.writeUInt16LE(rows, 0);
    size.writeUInt16LE(columns, 2);
    libc().ioctl(this.#master, TIOCSWINSZ, size);
  }

  /** The child has it now. */
  closeOtherEnd(): void {
    closeSync(this.#slave);
  }

  close(): void {
    this.#stream.destroy();
  }
}

export function openTerminal(size: { readonly columns: number; readonly rows: number }): Terminal {
  const c = calls();
  const master = c.posix_openpt(O_RDWR_NOCTTY_CLOEXEC);
  if (master < 0) throw lastError("/dev/ptmx", "posix_openpt");
  const name = Buffer.alloc(NAME_BYTES);
  if (c.grantpt(master) < 0 || c.unlockpt(master) < 0 || c.ptsname_r(master, name, NAME_BYTES) !== 0) {
    const error = lastError("/dev/ptmx", "unlockpt");
    libc().close(master);
    throw error;
  }
  const slave = openSync(name.toString("latin1", 0, name.indexOf(0)), O_RDWR_NOCTTY);
  const terminal = new Terminal(master, slave);
  terminal.resize(size.columns, size.rows);
  return terminal;
}
