/** `weft up --detach`: the same command again in a session of its own, whose progress is shown until it is ready. */
import { CliError, type CliContext } from "#cli/context.ts";
import { readRecord } from "#cli/state.ts";

const POLL_MS = 100;
const READ_BYTES = 65_536;

export async function detach({ host, terminal }: CliContext, stateDir: string): Promise<number> {
  const { files } = host;
  await files.makeDirectory(`${stateDir}/logs`, { mode: 0o700 });
  // Not inside the folder that --fresh removes.
  const log = `${stateDir}.up.log`;
  await files.writeAtomic(log, "", { mode: 0o600 });
  let exit: { readonly code: number } | undefined;
  const child = host.processes.spawn({
    command: [terminal.node, `${terminal.sourceRoot}/weft`, ...terminal.args, "--background"],
    env: Object.fromEntries(Object.entries(terminal.env).filter((entry): entry is [string, string] => entry[1] !== undefined)),
    cwd: terminal.cwd,
    detached: true,
    stdin: "ignore",
    output: { file: log },
    onExit: (status) => {
      exit = { code: status.code ?? 1 };
    },
  });
  const signals = terminal.onSignal(() => child.kill("SIGTERM"));
  let shown = 0;
  const show = async (): Promise<void> => {
    const bytes = await files.readFrom(log, shown, READ_BYTES);
    shown += bytes.length;
    terminal.out(Buffer.from(bytes).toString());
  };
  try {
    for (;;) {
      const ended = exit;
      const record = await readRecord(files, stateDir);
      await show();
      if (ended !== undefined) {
        if (ended.code !== 0) throw new CliError("", ended.code);
        return 0;
      }
      if (record?.pid === child.pid && record.ready) {
        await show();
        return record.problems ? 1 : 0;
      }
      await host.clock.sleep(POLL_MS);
    }
  } finally {
    signals.release();
  }
}
