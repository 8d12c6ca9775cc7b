/** Which files a program needs to start: its dynamic linker and, from library to library, all that they load. */
import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { type Elf, readElf } from "./elf.ts";

/** Where dynamic linkers of Debian, Fedora, Arch and Alpine look, in that order. */
const FOLDERS = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

export interface SharedFiles {
  /** The dynamic linker's path, as the program asks for it. */
  readonly interpreter: string | undefined;
  /** Paths by the name that is asked for: "libc.so.6" -> "/lib/x86_64-linux-gnu/libc.so.6". */
  readonly libraries: ReadonlyMap<string, string>;
}

/** Of a program or of a library that a program loads later. Throws when one is not on this machine. */
export function sharedFiles(path: string): SharedFiles {
  const program = readElf(path);
  if (program === undefined) throw new Error(`${path} is not a program for x86-64`);
  const libraries = new Map<string, string>();
  const queue: { readonly elf: Elf; readonly of: string }[] = [{ elf: program, of: path }];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const name of next.elf.needed) {
      // Libraries name the dynamic linker that has loaded them.
      if (libraries.has(name) || name.startsWith("ld-linux")) continue;
      const found = findLibrary(name);
      if (found === undefined) throw new Error(`${next.of} needs ${name}, which is in none of ${FOLDERS.join(", ")}`);
      libraries.set(name, found.path);
      queue.push({ elf: found.elf, of: found.path });
    }
  }
  if (program.interpreter !== undefined && !existsSync(program.interpreter))
    throw new Error(`${path} is started by ${program.interpreter}, which is not there`);
  return { interpreter: program.interpreter, libraries };
}

function findLibrary(name: string): { readonly path: string; readonly elf: Elf } | undefined {
  for (const folder of FOLDERS) {
    const path = join(folder, name);
    if (!existsSync(path)) continue;
    const elf = readElf(realpathSync(path));
    if (elf !== undefined) return { path, elf };
  }
  return undefined;
}
