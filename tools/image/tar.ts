/**
 * A tar archive (POSIX ustar) whose bytes depend on nothing but its content: entries in the order of their paths, every
 * time zero, every owner root unless said. No extension is used, so names that ustar cannot hold are refused.
 */

const BLOCK = 512;
const NAME_LENGTH = 100;
const PREFIX_LENGTH = 155;

export type TarEntry =
  | { readonly path: string; readonly kind: "file"; readonly bytes: Uint8Array; readonly mode: number; readonly owner?: number }
  | { readonly path: string; readonly kind: "directory"; readonly mode: number; readonly owner?: number }
  | { readonly path: string; readonly kind: "symlink"; readonly target: string }
  /** Another name of a file of the same archive. */
  | { readonly path: string; readonly kind: "link"; readonly target: string };

const TYPE = { file: "0", link: "1", symlink: "2", directory: "5" } as const;

/** Sorted, with the folders that entries stand in; a path that two entries claim is an error. */
export function tar(entries: readonly TarEntry[]): Buffer {
  const all = new Map<string, TarEntry>();
  for (const entry of entries) {
    if (entry.path.startsWith("/") || entry.path.endsWith("/")) throw new Error(`tar: path "${entry.path}" begins or ends with "/"`);
    if (all.has(entry.path)) throw new Error(`tar: two entries are named ${entry.path}`);
    all.set(entry.path, entry);
  }
  for (const { path } of entries) {
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const folder = path.slice(0, end);
      if (!all.has(folder)) all.set(folder, { path: folder, kind: "directory", mode: 0o755 });
    }
  }
  const sorted = [...all.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const blocks: Buffer[] = [];
  const written = new Set<string>();
  for (const entry of sorted) {
    if (entry.kind === "link" && !written.has(entry.target)) throw new Error(`tar: ${entry.path} links to ${entry.target}, which is not before it`);
    blocks.push(header(entry));
    if (entry.kind === "file") {
      const padding = (BLOCK - (entry.bytes.length % BLOCK)) % BLOCK;
      blocks.push(Buffer.from(entry.bytes.buffer, entry.bytes.byteOffset, entry.bytes.length), Buffer.alloc(padding));
      written.add(entry.path);
    }
  }
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

/** name 0, mode 100, uid 108, gid 116, size 124, mtime 136, checksum 148, type 156, target 157, magic 257, prefix 345. */
function header(entry: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const { name, prefix } = splitPath(entry.kind === "directory" ? `${entry.path}/` : entry.path);
  const owner = ("owner" in entry ? entry.owner : undefined) ?? 0;
  block.write(name, 0, "latin1");
  block.write(octal("mode" in entry ? entry.mode : 0o777, 7), 100);
  block.write(octal(owner, 7), 108);
  block.write(octal(owner, 7), 116);
  block.write(octal(entry.kind === "file" ? entry.bytes.length : 0, 11), 124);
  block.write(octal(0, 11), 136);
  block.write(TYPE[entry.kind], 156);
  if ("target" in entry) {
    if (entry.target.length > NAME_LENGTH) throw new Error(`tar: target ${entry.target} of ${entry.path} is longer than ${NAME_LENGTH} characters`);
    block.write(entry.target, 157, "latin1");
  }
  block.write("ustar\x0000", 257, "latin1");
  block.write(prefix, 345, "latin1");
  block.fill(" ", 148, 156);
  block.write(
    `${octal(
      block.reduce((sum, byte) => sum + byte, 0),
      6,
    )}\0 `,
    148,
    "latin1",
  );
  return block;
}

function octal(value: number, digits: number): string {
  const text = value.toString(8).padStart(digits, "0");
  if (text.length > digits) throw new Error(`tar: ${value} needs more than ${digits} octal digits`);
  return text;
}

function splitPath(path: string): { readonly name: string; readonly prefix: string } {
  if (!/^[\x21-\x7e]+$/.test(path)) throw new Error(`tar: path "${path}" has characters other than printable ASCII`);
  if (path.length <= NAME_LENGTH) return { name: path, prefix: "" };
  const slash = path.indexOf("/", path.length - NAME_LENGTH - 1);
  if (slash < 0 || slash > PREFIX_LENGTH || slash === path.length - 1) throw new Error(`tar: path ${path} is too long`);
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) };
}
