/** `weft why FROM TO[:PORT]`: exit status 0 allowed, 1 denied, 2 nobody can tell. */
import { CliError, type CliContext } from "#cli/context.ts";
import { answerWhy, type ComposedAnswer } from "./answer.ts";
import { findDestination, findSource, PlaceError } from "./places.ts";
import { formatAnswer, formatShort } from "./text.ts";
import { worldOfCluster, worldOfFiles } from "./world.ts";
import { worldReader } from "#model/world.ts";

export interface WhyOptions {
  readonly name: string;
  readonly namespace: string;
  readonly method: string;
  readonly path: string;
  readonly header: readonly string[];
  /** Answer from these files or folders alone. */
  readonly file: readonly string[];
  readonly output?: string;
  readonly short: boolean;
}

const status = { allowed: 0, denied: 1, unknown: 2 } as const;

export async function why(context: CliContext, from: string, to: string, options: WhyOptions): Promise<number> {
  if (options.output !== undefined && options.output !== "json") throw new CliError(`-o ${options.output}: json is the only other format`);
  const world = options.file.length > 0 ? await worldOfFiles(context.host, options.file) : await worldOfCluster(context, options.name);
  const answer = answered(() => {
    const reader = worldReader(world);
    const source = findSource(from, reader, options.namespace);
    const namespace = source.kind === "pod" && !from.startsWith("gateway") ? (source.pod.metadata.namespace ?? options.namespace) : options.namespace;
    const destination = findDestination(to, reader, namespace, source);
    return answerWhy(world, { from: source, to: destination, method: options.method, path: options.path, headers: headersOf(options.header) });
  });
  const text = options.output === "json" ? `${JSON.stringify(answer, undefined, 2)}\n` : options.short ? formatShort(answer) : formatAnswer(answer);
  context.terminal.out(text);
  return status[answer.verdict];
}

function answered(ask: () => ComposedAnswer): ComposedAnswer {
  try {
    return ask();
  } catch (error) {
    if (error instanceof PlaceError) throw new CliError(error.message);
    throw error;
  }
}

/** "end-user=jason", or "end-user: jason" as curl has it. */
function headersOf(written: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    written.map((header) => {
      const found = /^([^=:\s]+)\s*[=:]\s*(.*)$/.exec(header);
      if (found?.[1] === undefined) throw new CliError(`--header ${JSON.stringify(header)}: write NAME=VALUE`);
      return [found[1], found[2] ?? ""];
    }),
  );
}
