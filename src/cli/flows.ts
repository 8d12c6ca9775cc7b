/** `weft flows`: packets that nodes dropped, with the policies that isolate the pod. Each node's agent keeps the last 4096. */
import type { FlowEnd, FlowRecord } from "#model/flow.ts";
import { CliError, type CliContext } from "./context.ts";
import { agentsOf, PAGES_RIGHT } from "./kubernetes/agents.ts";
import { chooseCluster, type ChosenCluster, type ClusterChoice } from "./kubernetes/choose-cluster.ts";
import { isForbidden, missingRight } from "./kubernetes/rights.ts";
import { formatTable } from "./table.ts";

export interface FlowsOptions extends ClusterChoice {
  readonly verdict?: string;
  readonly output?: string;
  readonly follow: boolean;
}

/** Drops come in bursts of a retrying client: seconds apart. */
const LOOK_EVERY_MS = 500;

export async function flows(context: CliContext, options: FlowsOptions): Promise<number> {
  const { output, verdict } = options;
  if (output !== undefined && output !== "json") throw new CliError(`-o ${output} is not known; there is: json`);
  if (verdict !== undefined && verdict !== "dropped")
    throw new CliError(`--verdict ${verdict} is not known; there is: dropped (allowed packets are not recorded)`);
  const cluster = await chooseCluster(context, options);
  if (options.follow) return follow(context, cluster, output === "json");
  const { records, missing } = await readFlows(cluster);
  if (output === "json") context.terminal.out(`${JSON.stringify(records, undefined, 2)}\n`);
  else if (records.length > 0) context.terminal.out(formatTable([HEADINGS, ...records.map(row)]));
  else if (missing.length === 0) context.terminal.out("no packets were dropped\n");
  for (const text of missing) context.terminal.err(`weft: ${text}\n`);
  return missing.length === 0 ? 0 : 2;
}

async function readFlows(cluster: ChosenCluster): Promise<{ records: FlowRecord[]; missing: string[] }> {
  const missing: string[] = [];
  const lists = await Promise.all(
    (await agentsOf(cluster)).map(async ({ node, page }) => {
      try {
        return await cluster.api.get<readonly FlowRecord[]>(page("flows?verdict=dropped"));
      } catch (error) {
        if (isForbidden(error)) throw new CliError(missingRight("read what agents saw", PAGES_RIGHT));
        missing.push(`Node ${node}: its agent does not tell its drops: ${error instanceof Error ? error.message : String(error)}`);
        return [];
      }
    }),
  );
  return { records: lists.flat().toSorted((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)), missing };
}

/** Lines as they come, until a signal. */
async function follow(context: CliContext, cluster: ChosenCluster, json: boolean): Promise<number> {
  const stopped = new AbortController();
  const signal = context.terminal.onSignal(() => stopped.abort());
  const seen = new Set<string>();
  while (!stopped.signal.aborted) {
    for (const record of (await readFlows(cluster)).records) {
      const text = JSON.stringify(record);
      if (seen.has(text)) continue;
      seen.add(text);
      context.terminal.out(json ? `${text}\n` : `${row(record).join("  ")}\n`);
    }
    await context.host.clock.sleep(LOOK_EVERY_MS, stopped.signal).catch(() => undefined);
  }
  signal.release();
  return 0;
}

const HEADINGS = ["TIME", "NODE", "DIRECTION", "FROM", "TO", "PROTOCOL", "BY"];

function row(record: FlowRecord): string[] {
  const by = record.policies.length > 0 ? record.policies.join(", ") : record.reason;
  return [record.time.slice(11, 23), record.node, record.direction, endText(record.source, false), endText(record.destination, true), record.protocol, by];
}

/** The name first, the address where it helps. A client's port says nothing. */
function endText(end: FlowEnd, withPort: boolean): string {
  const port = withPort && end.port !== undefined ? `:${end.port}` : "";
  return end.pod === undefined ? `${end.ip}${port}` : `${end.pod}${port} (${end.ip})`;
}
