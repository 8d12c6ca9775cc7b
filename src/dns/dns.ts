/**
 * The node's DNS server. It answers at the cluster's DNS address on every node, so no query leaves its node unless the
 * name is foreign. A question passes a chain of handlers (server.ts, `chainOf`); the first that knows it answers. The zone comes
 * from the NodePlan and is read anew for each question: changing it needs no restart and drops nothing.
 *
 * It does not recurse (foreign names go to the machine's resolvers), does no DNSSEC, and allows no transfers.
 *
 * In the embedded cluster it is a part of the agent (`startDns`), on Kubernetes a program that the agent writes for
 * (`startNodeNames`).
 */
import type { Host } from "#host/host.ts";
import type { Log } from "#run/log.ts";
import type { Running } from "#run/program.ts";
import { askForCheck, type CheckQuestion, type CheckResult } from "./names-check.ts";
import { answerNodeNames, type NodeNamesOptions } from "./node-names.ts";
import { serveDns, type DnsOptions, type DnsServer } from "./server.ts";

export function startDns(host: Pick<Host, "net" | "clock" | "random">, options: DnsOptions): Promise<DnsServer> {
  return serveDns(host, options);
}

/** Resolves when it waits or answers. `failed`: the address is there and cannot be had. */
export function startNodeNames(
  host: Pick<Host, "net" | "clock" | "random" | "files">,
  options: NodeNamesOptions,
  log: Log,
  failed: (error: unknown) => void,
): Promise<Running> {
  return answerNodeNames(host, options, log, failed);
}

/** What a running `startNodeNames` says of itself to another process of its pod. */
export function checkNodeNames(host: Pick<Host, "net" | "clock">, socket: string, question: CheckQuestion): Promise<CheckResult> {
  return askForCheck(host, socket, question);
}
