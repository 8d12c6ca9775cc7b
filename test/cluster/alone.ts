/**
 * A test file in namespaces of its own, where nobody else makes processes, links or mounts: only there can all that is
 * on a machine before and after be compared. Root only; an ordinary user's tests share the machine with others.
 */
import { spawnSync } from "node:child_process";

const MARK = "WEFT_TEST_ALONE";
/** Folders that others write to while we compare; the file runs below a shell because Node as PID 1 reaps nobody. */
const PREPARE = 'for folder in /run /var/tmp /dev/shm; do mount -t tmpfs none "$folder"; done; ip link set lo up; "$@"; exit $?';

export const isAlone = process.env[MARK] === "1";

/** Runs `file` again, alone, and ends this process with its status. Returns when this is that run, or when it cannot be made. */
export function runAlone(file: string): void {
  if (isAlone || process.getuid?.() !== 0) return;
  const unshare = ["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--mount-proc"];
  const run = spawnSync("unshare", [...unshare, "sh", "-c", PREPARE, "alone", process.execPath, ...process.execArgv, file], {
    stdio: "inherit",
    env: { ...process.env, [MARK]: "1" },
  });
  process.exit(run.status ?? 1);
}
