/**
 * Containers write their output straight into files, so that they need no runtime to go on. What a plain file does not
 * know is when a line came: the runtime notes it beside the file ("offset milliseconds" a line) as it sees the file grow.
 */
import type { Host } from "#host/host.ts";

export type LogHost = Pick<Host, "clock" | "files" | "processes">;

export interface LogOptions {
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly tailLines: number | undefined;
  readonly sinceMs: number | undefined;
  readonly limitBytes: number | undefined;
}

// kubelet keeps 10 MiB of a container's log before it starts another file.
const longestLog = 10 * 1024 * 1024;
const pollMs = 250;
/** Lines that come closer together share a time. */
const timeStepMs = 20;

const timesOf = (path: string): string => `${path}.times`;

/** Notes times for one file until closed, and keeps it from growing without bound. */
export function keepLog(host: LogHost, path: string): { close(): void } {
  let size = -1;
  let busy = false;
  let closed = false;
  const look = async (): Promise<void> => {
    const facts = await host.files.stat(path);
    const now = facts?.sizeBytes ?? 0;
    if (size === -1) size = await notedSize(host, path);
    if (now > size) await host.files.append(timesOf(path), `${size} ${host.clock.now()}\n`);
    size = now;
    if (now > longestLog) {
      // The container goes on writing into the same file (it appends), so the file is emptied, not replaced.
      const cut = await host.processes.run(["/bin/sh", "-c", 'cp "$1" "$1.1" && : >"$1"', "weft-rotate", path]);
      if (cut.code === 0) await host.files.remove(timesOf(path));
      size = 0;
    }
  };
  const changed = (): void => {
    if (busy || closed) return;
    busy = true;
    host.clock.after(timeStepMs, () => {
      void look()
        .catch(() => {})
        .finally(() => (busy = false));
    });
  };
  const watcher = host.files.watch(path.slice(0, path.lastIndexOf("/")), changed);
  // A change that fell into `look` itself would wait for the next one.
  const timer = host.clock.every(1000, changed).unref();
  changed();
  return {
    close() {
      closed = true;
      watcher.close();
      timer.cancel();
    },
  };
}

async function notedSize(host: LogHost, path: string): Promise<number> {
  const facts = await host.files.stat(timesOf(path));
  return facts === undefined ? 0 : ((await host.files.stat(path))?.sizeBytes ?? 0);
}

interface Noted {
  readonly offset: number;
  readonly ms: number;
}

/** Chunks of text as `kubectl logs` prints them; ends when the container's run is over (`isOver`) or `signal` says so. */
export async function* readLog(
  host: LogHost,
  path: string,
  options: LogOptions,
  run: { isOver: () => boolean; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  let offset = 0;
  let first = true;
  let rest: Uint8Array = new Uint8Array();
  while (left > 0 && !run.signal.aborted) {
    // Asked before reading: what comes after the end of the run is read in this very round.
    const over = run.isOver();
    const size = (await host.files.stat(path))?.sizeBytes ?? 0;
    if (size < offset) {
      offset = 0;
      rest = new Uint8Array();
    }
    if (size > offset || first) {
      const read = size > offset ? await host.files.readFrom(path, offset, Math.min(size - offset, longestLog * 2)) : new Uint8Array();
      const bytes = Buffer.concat([rest, read]);
      const start = offset - rest.length;
      offset += read.length;
      const whole = first && !options.follow ? bytes.length : bytes.lastIndexOf(10) + 1;
      rest = bytes.subarray(whole);
      const chosen = await choose(host, { path, options, first, start }, bytes.subarray(0, whole));
      first = false;
      if (chosen.length > 0) {
        const part = chosen.length > left ? chosen.subarray(0, left) : chosen;
        left -= part.length;
        yield part;
      }
    }
    if (!options.follow || over) break;
    await host.clock.sleep(pollMs, run.signal).catch(() => {});
  }
  if (rest.length > 0 && left > 0) yield rest;
}

interface Part {
  readonly path: string;
  readonly options: LogOptions;
  readonly first: boolean;
  /** Of the bytes in the file. */
  readonly start: number;
}

async function choose(host: LogHost, { path, options, first, start }: Part, bytes: Buffer): Promise<Buffer> {
  const { timestamps, sinceMs, tailLines } = options;
  if (!timestamps && sinceMs === undefined && (tailLines === undefined || !first)) return bytes;
  let lines = linesOf(bytes);
  if (first && tailLines !== undefined) lines = tailLines === 0 ? [] : lines.slice(-tailLines);
  if (!timestamps && sinceMs === undefined) return Buffer.concat(lines.map((line) => line.bytes));
  const times = await readTimes(host, path);
  const out: Uint8Array[] = [];
  for (const line of lines) {
    const ms = timeAt(times, start + line.at);
    if (sinceMs !== undefined && ms < sinceMs) continue;
    if (timestamps) out.push(Buffer.from(`${new Date(ms).toISOString()} `));
    out.push(line.bytes);
  }
  return Buffer.concat(out);
}

function linesOf(bytes: Buffer): { readonly at: number; readonly bytes: Buffer }[] {
  const lines: { at: number; bytes: Buffer }[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(10, at);
    const next = end < 0 ? bytes.length : end + 1;
    lines.push({ at, bytes: bytes.subarray(at, next) });
    at = next;
  }
  return lines;
}

async function readTimes(host: LogHost, path: string): Promise<Noted[]> {
  const text = await host.files.readText(timesOf(path)).catch(() => "");
  const times: Noted[] = [];
  for (const line of text.split("\n")) {
    const [offset, ms] = line.split(" ").map(Number);
    if (offset !== undefined && ms !== undefined && line !== "") times.push({ offset, ms });
  }
  const modified = (await host.files.stat(path))?.modifiedMs ?? host.clock.now();
  return times.length > 0 ? times : [{ offset: 0, ms: modified }];
}

function timeAt(times: readonly Noted[], offset: number): number {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((times[middle]?.offset ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return times[low]?.ms ?? 0;
}
