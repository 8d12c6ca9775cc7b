/**
 * Names on a node of Kubernetes, as a program of its own: what the agent says of names stands in a file, and is answered from
 * here, so no query meets silence while an agent starts again or is replaced by the next version. Of this program two may run
 * at once: they share the address (SO_REUSEPORT), and the old one leaves when the new one is there (ADR 0014).
 *
 * It is nobody's root, so it does not listen at port 53 but at another one of the same address, which the agent's rules make of
 * port 53 (compile/services/names-port.ts).
 *
 * It waits for the agent three times: for the address, which that gives to the node's loopback, for a first zone, and, before it
 * is ready, for those rules.
 */
import { NAMES_PORT } from "#compile/node/settings.ts";
import type { Host } from "#host/host.ts";
import { HostError } from "#host/host-error.ts";
import { resolverAddress, type KubernetesConfig } from "#model/kubernetes-config.ts";
import type { DnsZone } from "#model/plan/node-plan.ts";
import type { Log } from "#run/log.ts";
import { Parts, type Running } from "#run/program.ts";
import { MachineResolvers } from "./machine-resolvers.ts";
import { serveChecks } from "./names-check.ts";
import { OwnQuestion } from "./own-question.ts";
import { serveDns, type DnsServer } from "./server.ts";
import { ZoneFile } from "./zone-file.ts";

export interface NodeNamesOptions {
  readonly config: Pick<KubernetesConfig, "dnsAddress" | "clusterDomain" | "dnsUpstreams">;
  /** What the agent writes. */
  readonly zoneFile: string;
  /** The node's resolv.conf. */
  readonly resolvers: string;
  /** Where probes ask it. */
  readonly checks: string;
}

const DNS_PORT = 53;
const LOOK_EVERY_MS = 100;

type NamesHost = Pick<Host, "net" | "clock" | "random" | "files">;

export async function answerNodeNames(host: NamesHost, options: NodeNamesOptions, log: Log, failed: (error: unknown) => void): Promise<Running> {
  const { config, zoneFile, resolvers: path } = options;
  const parts = new Parts({ clock: host.clock, log });
  const zone = new ZoneFile(host, { path: zoneFile, log });
  parts.closing("zone", () => zone.close());
  const resolvers = await MachineResolvers.open(host, { path, own: config.dnsAddress });
  parts.closing("resolvers", () => resolvers.close());
  const chosen = config.dnsUpstreams?.split(",").flatMap((each) => resolverAddress(each) ?? []);
  const own = new OwnQuestion(host, config.clusterDomain);
  const listens = { ip: config.dnsAddress, port: NAMES_PORT };
  let waitsFor: string | undefined = `the names of the cluster in ${zoneFile}, which the node's agent writes`;
  const asked = { ip: config.dnsAddress, port: DNS_PORT };
  const checks = await serveChecks(host, options.checks, { own, asked, listens, waitsFor: () => waitsFor });
  parts.closing("checks", () => checks.close());
  const stopped = new AbortController();
  parts.closing("waiting", () => stopped.abort(new Error("stopped")));
  const answer = (first: DnsZone): Promise<DnsServer> =>
    serveDns(host, {
      address: listens,
      reusePort: true,
      first: own.handler,
      upstreams: () => chosen ?? resolvers.current,
      zone: () => zone.current ?? first,
    });
  const begin = async (): Promise<void> => {
    for (let looks = 0; ; looks += 1) {
      await zone.read();
      const { current } = zone;
      if (current !== undefined) {
        waitsFor = `the address ${config.dnsAddress}, which the node's agent gives to the node`;
        const server = await answer(current).catch(unlessAbsent);
        if (stopped.signal.aborted) return server?.close();
        if (server !== undefined) {
          parts.closing("dns", () => server.close());
          waitsFor = undefined;
          log.info("names are answered", { address: config.dnsAddress, port: NAMES_PORT });
          return;
        }
      }
      if (looks === 0) log.info("waiting for the node's agent to bring the address and the names", { address: config.dnsAddress, file: zoneFile });
      await host.clock.sleep(LOOK_EVERY_MS, stopped.signal);
    }
  };
  void begin().catch((error: unknown) => (stopped.signal.aborted ? undefined : failed(error)));
  return parts;
}

/** The agent has not brought the address yet. */
function unlessAbsent(error: unknown): undefined {
  if (!(error instanceof HostError && error.code === "EADDRNOTAVAIL")) throw error;
}
