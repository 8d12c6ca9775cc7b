/** Starts the cluster's programs and starts them again when they end. */
import type { Host } from "#host/host.ts";
import type { ChildProcess } from "#host/processes.ts";
import { MEMORY_SAVER_OPTION, preloaded, programFile, type RuntimeConfig, SMALL_HEAP_OPTIONS } from "#model/config.ts";
import type { FromInner } from "#model/supervisor-link.ts";
import { netnsPath } from "./network.ts";

const FIRST_RESTART_MS = 100;
/** A part that is gone is back within 2 s, however often it ends. */
const SLOWEST_RESTART_MS = 1500;
/** One that ran this long starts again at the first delay. */
const STEADY_MS = 10_000;
const STOP_MS = 2500;
/** A log larger than this at start is set aside once. */
const LOG_LIMIT_BYTES = 16 * 1024 * 1024;
export interface Program {
  /** "control", "agent-node-1": names its log. */
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly netns?: string;
}

export function programsOf(config: RuntimeConfig): readonly Program[] {
  const start = (program: string, ...args: string[]): readonly [string, ...string[]] => [
    config.node24,
    ...SMALL_HEAP_OPTIONS,
    MEMORY_SAVER_OPTION,
    ...preloaded(config.programs, config.sourceRoot),
    programFile(config.programs, program),
    "--config",
    `${config.runDir}/config.json`,
    ...args,
  ];
  const perNode = config.nodes.flatMap((node) =>
    ["agent", "pods"].map((program) => ({ name: `${program}-${node.name}`, command: start(program, "--node", node.name), netns: netnsPath(node.name) })),
  );
  return [{ name: "control", command: start("control") }, ...perNode];
}

export class ProgramRunner {
  readonly #host: Pick<Host, "clock" | "files" | "processes">;
  readonly #logs: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #send: (message: FromInner) => void;
  readonly #running = new Map<string, { readonly child: ChildProcess; readonly ended: Promise<void> }>();
  #stopping = false;

  constructor(
    host: Pick<Host, "clock" | "files" | "processes">,
    options: { readonly logs: string; readonly env: Readonly<Record<string, string>>; readonly send: (message: FromInner) => void },
  ) {
    this.#host = host;
    this.#logs = options.logs;
    this.#env = options.env;
    this.#send = options.send;
  }

  async start(programs: readonly Program[]): Promise<void> {
    await this.#host.files.makeDirectory(this.#logs, { mode: 0o700 });
    for (const program of programs) {
      await this.#setLogAside(program);
      this.#launch(program, FIRST_RESTART_MS);
    }
  }

  /** Asks nicely, and returns when all have ended or the time is up; what is left dies with the pid namespace. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const running = [...this.#running.values()];
    for (const { child } of running) child.kill("SIGTERM");
    await Promise.race([Promise.all(running.map(({ ended }) => ended)), this.#host.clock.sleep(STOP_MS)]);
  }

  #log(program: Program): string {
    return `${this.#logs}/${program.name}.log`;
  }

  async #setLogAside(program: Program): Promise<void> {
    const facts = await this.#host.files.stat(this.#log(program));
    if (facts !== undefined && facts.sizeBytes > LOG_LIMIT_BYTES) await this.#host.files.rename(this.#log(program), `${this.#log(program)}.1`);
  }

  #launch(program: Program, restartMs: number): void {
    const startedAt = this.#host.clock.monotonic();
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const child = this.#host.processes.spawn({
      command: program.command,
      env: this.#env,
      cwd: "/",
      ...(program.netns === undefined ? {} : { netns: program.netns }),
      output: { file: this.#log(program) },
      stdin: "ignore",
      onExit: (status) => {
        this.#running.delete(program.name);
        resolve();
        if (this.#stopping) return;
        this.#send({ kind: "exited", program: program.name, status: status.signal ?? `status ${status.code ?? "unknown"}`, log: this.#log(program) });
        const delay = this.#host.clock.monotonic() - startedAt > STEADY_MS ? FIRST_RESTART_MS : restartMs;
        this.#host.clock.after(delay, () => {
          if (!this.#stopping) this.#launch(program, Math.min(delay * 2, SLOWEST_RESTART_MS));
        });
      },
    });
    this.#running.set(program.name, { child, ended });
    this.#send({ kind: "started", program: program.name, pid: child.pid });
  }
}
