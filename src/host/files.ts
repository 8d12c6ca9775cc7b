/** The file system as an argument. Paths are absolute. Errors are `HostError` with `code` (ENOENT ...) and the path. */
export interface Files {
  readText(path: string): Promise<string>;
  read(path: string): Promise<Uint8Array>;
  /** Writes a temporary file beside `path`, syncs it and renames it: a reader sees the old or the new, never a part. */
  writeAtomic(path: string, data: string | Uint8Array, options?: { mode?: number }): Promise<void>;
  /** As writeAtomic, with the content and the mode of `from`, without reading it into memory. */
  copyAtomic(from: string, path: string): Promise<void>;
  append(path: string, data: string | Uint8Array): Promise<void>;
  /** Makes parents too; no error when it exists. */
  makeDirectory(path: string, options?: { mode?: number }): Promise<void>;
  /** Recursive; no error when it is not there. */
  remove(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  /** Names in the folder, sorted. */
  list(path: string): Promise<string[]>;
  /** undefined when it is not there. */
  stat(path: string): Promise<FileFacts | undefined>;
  chmod(path: string, mode: number): Promise<void>;
  chown(path: string, uid: number, gid: number): Promise<void>;
  /** Calls `changed` after the file or folder changed (coalesced); ends with close(). */
  watch(path: string, changed: () => void): { close(): void };
  /** Streams the file from byte `offset`; for logs. Resolves with what is there now, at most `maxBytes`. */
  readFrom(path: string, offset: number, maxBytes: number): Promise<Uint8Array>;
}

export interface FileFacts {
  readonly kind: "file" | "directory" | "socket" | "symlink" | "other";
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly mode: number;
}
