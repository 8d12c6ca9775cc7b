/** Files of the machine. */
import { constants } from "node:fs";
import { appendFile, chmod, chown, copyFile, lstat, mkdir, open, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Stats } from "node:fs";
import type { FileFacts, Files } from "#host/files.ts";
import { HostError } from "#host/host-error.ts";
import { watch } from "./file-watch.ts";

export function realFiles(): Files {
  return {
    readText: (path) => named(path, readFile(path, "utf8")),
    read: (path) => named(path, readFile(path)),
    writeAtomic: (path, data, options) => named(path, writeAtomic(path, data, options?.mode)),
    copyAtomic: (from, path) => named(from, copyAtomic(from, path)),
    append: (path, data) => named(path, append(path, data)),
    makeDirectory: (path, options) => named(path, makeDirectory(path, options?.mode)),
    remove: (path) => named(path, rm(path, { recursive: true, force: true })),
    rename: (from, to) => named(from, rename(from, to)),
    symlink: (target, path) => named(path, symlink(target, path)),
    list: (path) => named(path, list(path)),
    stat: (path) => named(path, stat(path)),
    chmod: (path, mode) => named(path, chmod(path, mode)),
    chown: (path, uid, gid) => named(path, chown(path, uid, gid)),
    watch,
    readFrom: (path, offset, maxBytes) => named(path, readFrom(path, offset, maxBytes)),
  };
}

async function named<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const { code = "EIO", message } = cause as Error & { code?: string };
    throw new HostError(code, path, message, { cause });
  }
}

let temporaries = 0;

function besides(path: string): string {
  temporaries += 1;
  return join(dirname(path), `.${basename(path)}.${process.pid}.${temporaries}`);
}

async function writeAtomic(path: string, data: string | Uint8Array, mode = 0o644): Promise<void> {
  const temporary = besides(path);
  const file = await open(temporary, "wx", mode);
  try {
    // The mode of open is cut by the umask.
    await file.chmod(mode);
    await file.writeFile(data);
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await file.close();
  await moveInPlace(temporary, path);
}

async function moveInPlace(temporary: string, path: string): Promise<void> {
  try {
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function copyAtomic(from: string, path: string): Promise<void> {
  const temporary = besides(path);
  try {
    await copyFile(from, temporary);
    const file = await open(temporary, "r+");
    await file.sync();
    await file.close();
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await moveInPlace(temporary, path);
}

/** Standard streams by their descriptor: the file behind one may be another user's, who opened it for us, and not for us to open. */
function append(path: string, data: string | Uint8Array): Promise<void> {
  const stream = path === "/dev/stdout" ? process.stdout : path === "/dev/stderr" ? process.stderr : undefined;
  if (stream === undefined) return appendFile(path, data);
  return new Promise((resolve, reject) => void stream.write(data, (error) => (error == null ? resolve() : reject(error))));
}

async function makeDirectory(path: string, mode: number | undefined): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made !== undefined && mode !== undefined) await chmod(path, mode);
}

async function list(path: string): Promise<string[]> {
  return (await readdir(path)).sort();
}

async function stat(path: string): Promise<FileFacts | undefined> {
  try {
    const facts = await lstat(path);
    return { kind: kindOf(facts), sizeBytes: facts.size, modifiedMs: facts.mtimeMs, mode: facts.mode & 0o7777 };
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

function kindOf(facts: Stats): FileFacts["kind"] {
  if (facts.isFile()) return "file";
  if (facts.isDirectory()) return "directory";
  if (facts.isSocket()) return "socket";
  return facts.isSymbolicLink() ? "symlink" : "other";
}

async function readFrom(path: string, offset: number, maxBytes: number): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY);
  try {
    const available = Math.max(0, (await file.stat()).size - offset);
    const buffer = Buffer.alloc(Math.min(available, maxBytes));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
