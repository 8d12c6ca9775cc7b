/**
 * Names on a node of Kubernetes, as a program of its own: what the agent says of names stands in a file, and is answered from
 * here, so no query meets silence while an agent starts again or is replaced by the next version. Of this program two may run
 * at once: they share the address (SO_REUSEPORT), and the old one leaves when the new one is there (ADR 0014).
 *
 * It waits for the agent twice: for the address, which that gives to the node's loopback, and for a first zone.
 */
import type { Host } from "#host/host.ts";
import { HostError } from "#host/host-error.ts";
import { resolverAddress, type KubernetesConfig } from "#model/kubernetes-config.ts";
import type { Log } from "#run/log.ts";
import { Parts, type Running } from "#run/program.ts";
import { serveDns, type DnsServer } from "./server.ts";
import { MachineResolvers } from "./machine-resolvers.ts";
import { ZoneFile } from "./zone-file.ts";

export interface NodeNamesOptions {
  readonly config: Pick<KubernetesConfig, "dnsAddress" | "clusterDomain" | "dnsUpstreams">;
  /** What the agent writes. */
  readonly zoneFile: string;
  /** The node's resolv.conf. */
  readonly resolvers: string;
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
  const empty = { domain: config.clusterDomain, reverse: [], namespaces: [], names: {} };
  const stopped = new AbortController();
  parts.closing("waiting", () => stopped.abort(new Error("stopped")));
  const answer = (): Promise<DnsServer> =>
    serveDns(host, {
      address: { ip: config.dnsAddress, port: DNS_PORT },
      reusePort: true,
      upstreams: () => chosen ?? resolvers.current,
      zone: () => zone.current ?? empty,
    });
  const begin = async (): Promise<void> => {
    for (let looks = 0; ; looks += 1) {
      await zone.read();
      if (zone.current !== undefined) {
        const server = await answer().catch(unlessAbsent);
        if (stopped.signal.aborted) return server?.close();
        if (server !== undefined) {
          parts.closing("dns", () => server.close());
          log.info("names are answered", { address: config.dnsAddress });
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
