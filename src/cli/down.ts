/** `weft down`: asks the running supervisor to end, and returns when nothing of the cluster is left. */
import type { CliContext } from "./context.ts";
import { CliError } from "./context.ts";
import { findRunning, stateFolder } from "./state.ts";

const SIGTERM = 15;
const SIGKILL = 9;
/** The supervisor itself gives its programs 3.5 s. */
const PATIENCE_MS = 8000;
const POLL_MS = 50;

export async function down({ host, terminal }: CliContext, name: string): Promise<number> {
  const stateDir = stateFolder(terminal, name);
  const running = await findRunning(host.files, stateDir);
  if (running === undefined) {
    terminal.out(`cluster "${name}" is not running\n`);
    return 0;
  }
  const startedAt = host.clock.monotonic();
  const isGone = async (): Promise<boolean> => (await findRunning(host.files, stateDir)) === undefined;
  for (const signal of [SIGTERM, SIGKILL]) {
    host.processes.signal(running.pid, signal);
    const deadline = host.clock.monotonic() + PATIENCE_MS;
    while (host.clock.monotonic() < deadline) {
      if (await isGone()) {
        terminal.out(`cluster "${name}" ended in ${((host.clock.monotonic() - startedAt) / 1000).toFixed(1)}s; its state stays in ${stateDir}\n`);
        return 0;
      }
      await host.clock.sleep(POLL_MS);
    }
  }
  throw new CliError(`process ${running.pid} of cluster "${name}" does not end; is it stopped in a debugger?`, 1);
}
