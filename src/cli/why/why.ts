/** `weft why FROM TO[:PORT]`: exit status 0 allowed, 1 denied, 2 nobody can tell (or the question makes no sense). */
import { CliError, type CliContext } from "#cli/context.ts";
import type { ClusterChoice } from "#cli/kubernetes/choose-cluster.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { KINDS } from "#model/kinds.ts";
import { worldReader, type World } from "#model/world.ts";
import { answerWhy } from "./answer.ts";
import { findDestination, findSource, PlaceError, splitUrl } from "./places.ts";
import type { WhySettings } from "./network.ts";
import type { Answer } from "./question.ts";
import { formatAnswer, formatShort } from "./text.ts";
import { worldOfCluster, worldOfFiles, type ClusterWorld } from "./world.ts";

export interface WhyOptions extends ClusterChoice {
  readonly namespace: string;
  readonly method: string;
  /** Absent: of the URL, or "/". */
  readonly path?: string;
  readonly header: readonly string[];
  /** Answer from these files or folders alone. */
  readonly file: readonly string[];
  readonly output?: string;
  readonly short: boolean;
}

export const statusOf = { allowed: 0, denied: 1, unknown: 2 } as const;

export async function why(context: CliContext, from: string, to: string, options: WhyOptions): Promise<number> {
  const { terminal } = context;
  if (options.output !== undefined && options.output !== "json") throw new CliError(`-o ${options.output}: json is the only other format`);
  const asked = { from, to, namespace: options.namespace, method: options.method, path: options.path, headers: headersOf(options.header) };
  const { world, settings, hidden } = await worldFor(context, options);
  for (const kind of hidden) context.terminal.err(`weft: you may not list ${KINDS[kind].plural}: the answer is as if there were none\n`);
  const answer = ask(world, asked, settings);
  const style = { color: terminal.color };
  terminal.out(
    options.output === "json" ? `${JSON.stringify(answer, undefined, 2)}\n` : options.short ? formatShort(answer, style) : formatAnswer(answer, style),
  );
  return statusOf[answer.verdict];
}

async function worldFor(context: CliContext, options: WhyOptions): Promise<ClusterWorld> {
  if (options.file.length === 0) return worldOfCluster(context, options).catch(orFiles);
  const { world, ignored } = await worldOfFiles(context.host, options.file);
  for (const text of ignored) context.terminal.err(`weft: left out: ${text}\n`);
  return { world, settings: DEFAULT_SETTINGS, hidden: [] };
}

/** No cluster is needed for an answer. */
function orFiles(error: unknown): never {
  if (error instanceof CliError) throw new CliError(`${error.message}\n      or ask manifests alone:  weft why -f DIR FROM TO`, error.status);
  throw error;
}

export interface Asked {
  readonly from: string;
  readonly to: string;
  readonly namespace: string;
  readonly method: string;
  readonly path: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** Throws CliError when it is not clear what is asked. */
export function ask(world: World, asked: Asked, settings: WhySettings = DEFAULT_SETTINGS): Answer {
  const { from, to: written, namespace: given, method, path, headers } = asked;
  try {
    const reader = worldReader(world);
    const source = findSource(from, reader, { namespace: given, outsideAddress: settings.outsideAddress });
    const namespace = source.kind === "pod" && from !== "gateway" ? (source.pod.metadata.namespace ?? given) : given;
    const url = splitUrl(written);
    const to = findDestination(url.to, reader, namespace, source);
    const question = { from: source, to, method: method.toUpperCase(), path: pathOf(path ?? url.path ?? "/"), headers, tls: /^https:/i.test(written) };
    return answerWhy(world, question, settings);
  } catch (error) {
    if (error instanceof PlaceError) throw new CliError(error.message);
    throw error;
  }
}

function pathOf(path: string): string {
  if (!path.startsWith("/")) throw new CliError(`--path ${JSON.stringify(path)}: a path begins with "/"`);
  return path;
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
