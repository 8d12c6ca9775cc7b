/**
 * Programs of the cluster that end by themselves. The supervisor starts them again; this tells the person, with the last
 * thing that the program said, and gives up on a start in which one of them ends again and again.
 */
import type { Host } from "#host/host.ts";
import type { FromInner } from "#model/supervisor-link.ts";
import { CliError } from "#cli/context.ts";
import type { Progress } from "#cli/progress.ts";

/** One that cannot start would fill the screen. */
const TELL_AGAIN_MS = 10_000;
/** So often in one start, and it will not get better by itself. */
const HOPELESS_ENDS = 4;
const TAIL_BYTES = 8192;

export class ProgramEnds {
  readonly #host: Pick<Host, "clock" | "files">;
  readonly #progress: Progress;
  readonly #ends = new Map<string, { count: number; toldAt: number }>();
  readonly #hopeless = new AbortController();
  #starting = true;

  constructor(host: Pick<Host, "clock" | "files">, progress: Progress) {
    this.#host = host;
    this.#progress = progress;
  }

  /** Aborted, with a CliError as the reason, when the cluster will not come up. */
  get hopeless(): AbortSignal {
    return this.#hopeless.signal;
  }

  /** From now on nobody waits for the cluster to come up. */
  startedOnce(): void {
    this.#starting = false;
  }

  async happened({ program, status, log }: FromInner & { kind: "exited" }): Promise<void> {
    const now = this.#host.clock.monotonic();
    const known = this.#ends.get(program);
    const entry = known ?? { count: 0, toldAt: now };
    this.#ends.set(program, entry);
    entry.count += 1;
    const isHopeless = this.#starting && entry.count === HOPELESS_ENDS;
    if (known !== undefined && now - entry.toldAt < TELL_AGAIN_MS && !isHopeless) return;
    entry.toldAt = now;
    const times = entry.count > 1 ? `, ${entry.count} times now` : "";
    const text = `ended (${status})${times}: ${await readLastWords(this.#host, log)}`;
    if (isHopeless) this.#hopeless.abort(new CliError(`${program} ${text}\n      its log: ${log}`, 1));
    else this.#progress.say(program, `${text}; starting it again; its log: ${log}`);
  }
}

/** The last line of a log that says something: the message of a log line, or the error of a stack trace. */
async function readLastWords({ files }: Pick<Host, "files">, log: string): Promise<string> {
  const size = (await files.stat(log).catch(() => undefined))?.sizeBytes ?? 0;
  const bytes = await files.readFrom(log, Math.max(0, size - TAIL_BYTES), TAIL_BYTES).catch(() => new Uint8Array());
  const lines = Buffer.from(bytes)
    .toString()
    .split("\n")
    .filter((line) => line.trim() !== "");
  return lastWords(lines) ?? "it said nothing";
}

export function lastWords(lines: readonly string[]): string | undefined {
  const last = lines.at(-1);
  if (last === undefined) return undefined;
  const said = messageOfLine(last);
  if (said !== undefined) return said;
  // Node ends with its version after a stack trace; the error stands above both.
  return lines.findLast((line) => /^(\w*Error|error)\b.*: /i.test(line))?.trim() ?? last.trim();
}

/** Of a JSON line as run/log.ts writes it. */
function messageOfLine(line: string): string | undefined {
  try {
    const { msg, error } = JSON.parse(line) as { readonly msg?: unknown; readonly error?: unknown };
    if (typeof msg !== "string") return undefined;
    return typeof error === "string" && error !== "" ? `${msg}: ${error}` : msg;
  } catch {
    return undefined;
  }
}
