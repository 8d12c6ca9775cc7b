/** Files in memory, shared by the hosts of one simulated machine. */
import type { Clock } from "#host/clock.ts";
import type { FileFacts, Files } from "#host/files.ts";
import { HostError } from "#host/host-error.ts";

interface Node {
  kind: FileFacts["kind"];
  bytes: Buffer;
  mode: number;
  modifiedMs: number;
  target?: string;
}

export class FakeFiles implements Files {
  readonly #clock: Clock;
  readonly #nodes = new Map<string, Node>();
  readonly #watchers = new Set<{ readonly path: string; readonly changed: () => void; scheduled: boolean }>();

  constructor(clock: Clock) {
    this.#clock = clock;
    for (const path of ["/", "/tmp", "/run", "/var", "/etc"]) this.#nodes.set(path, this.#node("directory", 0o755));
  }

  #node(kind: FileFacts["kind"], mode: number, bytes = Buffer.alloc(0)): Node {
    return { kind, bytes, mode, modifiedMs: this.#clock.now() };
  }

  async readText(path: string): Promise<string> {
    return this.#file(path).bytes.toString("utf8");
  }

  async read(path: string): Promise<Uint8Array> {
    return Buffer.from(this.#file(path).bytes);
  }

  async writeAtomic(path: string, data: string | Uint8Array, options: { mode?: number } = {}): Promise<void> {
    this.#mustHaveParent(path);
    if (this.#nodes.get(path)?.kind === "directory") throw new HostError("EISDIR", path, "is a directory");
    this.#nodes.set(path, this.#node("file", options.mode ?? 0o644, Buffer.from(data)));
    this.#changed(path);
  }

  async copyAtomic(from: string, path: string): Promise<void> {
    const { bytes, mode } = this.#file(from);
    await this.writeAtomic(path, bytes, { mode });
  }

  async append(path: string, data: string | Uint8Array): Promise<void> {
    this.#mustHaveParent(path);
    const node = this.#nodes.get(path) ?? this.#node("file", 0o644);
    node.bytes = Buffer.concat([node.bytes, Buffer.from(data)]);
    node.modifiedMs = this.#clock.now();
    this.#nodes.set(path, node);
    this.#changed(path);
  }

  async makeDirectory(path: string, options: { mode?: number } = {}): Promise<void> {
    const parts = path.split("/").filter((part) => part !== "");
    for (let i = 1; i <= parts.length; i += 1) {
      const at = `/${parts.slice(0, i).join("/")}`;
      const found = this.#nodes.get(at);
      if (found !== undefined && found.kind !== "directory") throw new HostError("ENOTDIR", path, `${at} is not a directory`);
      if (found === undefined) this.#nodes.set(at, this.#node("directory", i === parts.length ? (options.mode ?? 0o755) : 0o755));
    }
    this.#changed(path);
  }

  async remove(path: string): Promise<void> {
    for (const at of [...this.#nodes.keys()]) if (at === path || at.startsWith(`${path}/`)) this.#nodes.delete(at);
    this.#changed(path);
  }

  async rename(from: string, to: string): Promise<void> {
    if (!this.#nodes.has(from)) throw missing(from);
    this.#mustHaveParent(to);
    for (const [at, node] of [...this.#nodes]) {
      if (at !== from && !at.startsWith(`${from}/`)) continue;
      this.#nodes.delete(at);
      this.#nodes.set(to + at.slice(from.length), node);
    }
    this.#changed(from);
    this.#changed(to);
  }

  async symlink(target: string, path: string): Promise<void> {
    this.#mustHaveParent(path);
    if (this.#nodes.has(path)) throw new HostError("EEXIST", path, "already exists");
    this.#nodes.set(path, { ...this.#node("symlink", 0o777), target });
    this.#changed(path);
  }

  async list(path: string): Promise<string[]> {
    const node = this.#nodes.get(path);
    if (node === undefined) throw missing(path);
    if (node.kind !== "directory") throw new HostError("ENOTDIR", path, "is not a directory");
    const prefix = path === "/" ? "/" : `${path}/`;
    const names = [...this.#nodes.keys()].filter((at) => at.startsWith(prefix) && at !== "/" && !at.slice(prefix.length).includes("/"));
    return names.map((at) => at.slice(prefix.length)).sort();
  }

  async stat(path: string): Promise<FileFacts | undefined> {
    const node = this.#nodes.get(path);
    return node && { kind: node.kind, sizeBytes: node.bytes.length, modifiedMs: node.modifiedMs, mode: node.mode };
  }

  async chmod(path: string, mode: number): Promise<void> {
    const node = this.#nodes.get(path);
    if (node === undefined) throw missing(path);
    node.mode = mode;
  }

  async chown(path: string): Promise<void> {
    if (!this.#nodes.has(path)) throw missing(path);
  }

  watch(path: string, changed: () => void): { close(): void } {
    const watcher = { path, changed, scheduled: false };
    this.#watchers.add(watcher);
    return { close: () => void this.#watchers.delete(watcher) };
  }

  async readFrom(path: string, offset: number, maxBytes: number): Promise<Uint8Array> {
    return Buffer.from(this.#file(path).bytes.subarray(offset, offset + maxBytes));
  }

  placeSocket(path: string, mode: number): void {
    this.#nodes.set(path, this.#node("socket", mode));
    this.#changed(path);
  }

  removeSocket(path: string): void {
    this.#nodes.delete(path);
    this.#changed(path);
  }

  #file(path: string): Node {
    const node = this.#nodes.get(path);
    if (node === undefined) throw missing(path);
    if (node.kind === "symlink") return this.#file(node.target ?? "");
    if (node.kind !== "file") throw new HostError("EISDIR", path, `is a ${node.kind}`);
    return node;
  }

  #mustHaveParent(path: string): void {
    const parent = path.slice(0, path.lastIndexOf("/")) || "/";
    if (this.#nodes.get(parent)?.kind !== "directory") throw missing(path);
  }

  #changed(path: string): void {
    const parent = path.slice(0, path.lastIndexOf("/")) || "/";
    for (const watcher of this.#watchers) {
      if (watcher.scheduled || (watcher.path !== path && watcher.path !== parent)) continue;
      watcher.scheduled = true;
      this.#clock.soon(() => {
        watcher.scheduled = false;
        if (this.#watchers.has(watcher)) watcher.changed();
      });
    }
  }
}

function missing(path: string): HostError {
  return new HostError("ENOENT", path, "no such file or directory");
}
