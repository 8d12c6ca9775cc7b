/** Changes of files, by inotify; by looking again and again where its instances are used up (128 for all programs of a user). */
import { readdirSync, statSync, watch as watchPath } from "node:fs";
import { basename, dirname, join } from "node:path";
import { HostError } from "#host/host-error.ts";

const LOOK_EVERY_MS = 250;

export interface Watching {
  close(): void;
}

/** Watches a file through its folder, because writeAtomic puts another file in its place. */
export function watch(path: string, changed: () => void): Watching {
  let scheduled: NodeJS.Immediate | undefined;
  const name = basename(path);
  const notify = (): void => {
    scheduled ??= setImmediate(() => {
      scheduled = undefined;
      changed();
    });
  };
  try {
    const watchers = [watchPath(dirname(path), (_, file) => (file === null || file === name ? notify() : undefined)), watchFolder(path, notify)];
    for (const watcher of watchers) watcher?.on("error", notify);
    return {
      close(): void {
        if (scheduled !== undefined) clearImmediate(scheduled);
        for (const watcher of watchers) watcher?.close();
      },
    };
  } catch (cause) {
    const { code = "EIO", message } = cause as Error & { code?: string };
    if (code === "EMFILE" || code === "ENOSPC") return watchByLooking(path, changed);
    throw new HostError(code, path, message, { cause });
  }
}

function watchFolder(path: string, notify: () => void): ReturnType<typeof watchPath> | undefined {
  try {
    return watchPath(path, notify);
  } catch {
    // It is not there yet: its parent is watched.
    return undefined;
  }
}

/** Costs a little all the time, but a program must not end because others watch much. */
export function watchByLooking(path: string, changed: () => void): Watching {
  let before = stateOf(path);
  const timer = setInterval(() => {
    const now = stateOf(path);
    if (now === before) return;
    before = now;
    changed();
  }, LOOK_EVERY_MS);
  return { close: () => clearInterval(timer) };
}

/** Of a file, or of a folder and what is in it. */
function stateOf(path: string): string {
  const own = factsOf(path);
  try {
    return [own, ...readdirSync(path).map((name) => `${name} ${factsOf(join(path, name))}`)].join("\n");
  } catch {
    return own;
  }
}

function factsOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? "none" : `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
}
