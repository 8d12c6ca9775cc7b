/**
 * Which endpoints a port of a Service leads to: the ready ones, or, if there are none, those that still serve while they
 * terminate; of these the ones that hints prefer for this node. What its traffic policy keeps on the node is chosen in
 * the same way among the node's own.
 */
import type { NodeSelf } from "#compile/node/self.ts";
import { compareIps, parseIp } from "#lib/ip.ts";
import type { ServicePort } from "#model/core.ts";
import type { Endpoint, EndpointSlice } from "#model/discovery.ts";
import type { Provenance } from "#model/provenance.ts";

export interface PortEndpoint {
  readonly ip: string;
  readonly port: number;
  readonly by: Provenance;
}

export interface PortEndpoints {
  /** For whoever may be served by any node. */
  readonly cluster: readonly PortEndpoint[];
  /** For who must be served by this node. */
  readonly local: readonly PortEndpoint[];
  /** Addresses of this node's that are ready. */
  readonly readyHere: readonly string[];
  /** In neither, but may have connections: terminating, not ready for the moment, or not preferred any more. */
  readonly draining: readonly PortEndpoint[];
}

interface Candidate extends PortEndpoint {
  readonly state: "ready" | "serving" | "other";
  readonly endpoint: Endpoint;
}

export const endpointText = ({ ip, port }: Pick<PortEndpoint, "ip" | "port">) => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);

/** Slices of another family than IPv4 are left out here, and reported by service-problems.ts. */
export function endpointsOf(slices: readonly EndpointSlice[], port: ServicePort, self: () => NodeSelf): PortEndpoints {
  const candidates = inOrder(unique(slices.flatMap((slice) => candidatesOf(slice, port))));
  const ready = candidates.filter(({ state }) => state === "ready");
  const serving = candidates.filter(({ state }) => state === "serving");
  const cluster = ready.length > 0 ? preferred(ready, self) : serving;
  const isLocal = ({ endpoint }: Candidate) => endpoint.nodeName === self().name;
  const readyHere = ready.filter(isLocal);
  const local = readyHere.length > 0 ? readyHere : serving.filter(isLocal);
  const chosen = new Set([...cluster, ...local]);
  return { cluster, local, readyHere: readyHere.map(({ ip }) => ip), draining: candidates.filter((each) => !chosen.has(each)) };
}

function candidatesOf(slice: EndpointSlice, port: ServicePort): Candidate[] {
  if (slice.addressType !== "IPv4") return [];
  const numbers = (slice.ports ?? [])
    .filter((each) => (each.name ?? "") === (port.name ?? "") && (each.protocol ?? "TCP") === (port.protocol ?? "TCP"))
    .flatMap((each) => each.port ?? []);
  return numbers.flatMap((number) =>
    slice.endpoints.flatMap((endpoint, i): Candidate[] => {
      // The API has room for more, and says that all but the first are ignored.
      const [ip] = endpoint.addresses;
      const by: Provenance = { kind: "EndpointSlice", namespace: slice.metadata.namespace ?? "", name: slice.metadata.name, field: `endpoints[${i}]` };
      return ip === undefined || parseIp(ip)?.family !== 4 ? [] : [{ ip, port: number, by, state: stateOf(endpoint), endpoint }];
    }),
  );
}

/** A pod that terminates is not ready, unless its Service publishes unready addresses: then it stays as good as the others. */
function stateOf({ conditions = {} }: Endpoint): Candidate["state"] {
  const { ready = true, serving = ready, terminating = false } = conditions;
  return ready ? "ready" : serving && terminating ? "serving" : "other";
}

/** While slices are rewritten an endpoint may stand in two of them: the better state counts. */
function unique(candidates: readonly Candidate[]): Candidate[] {
  const best = new Map<string, Candidate>();
  const rank = { ready: 0, serving: 1, other: 2 };
  for (const candidate of candidates) {
    const key = endpointText(candidate);
    const known = best.get(key);
    if (known === undefined || rank[candidate.state] < rank[known.state]) best.set(key, candidate);
  }
  return [...best.values()];
}

/** Hints count only when every endpoint has them, and some endpoint is meant for this node or its zone. */
function preferred(ready: readonly Candidate[], self: () => NodeSelf): readonly Candidate[] {
  const choose = (names: (endpoint: Endpoint) => readonly string[] | undefined, own: () => string | undefined): Candidate[] => {
    const hints = ready.map((each) => ({ each, meant: names(each.endpoint) ?? [] }));
    const name = hints.every(({ meant }) => meant.length > 0) ? own() : undefined;
    return name === undefined ? [] : hints.filter(({ meant }) => meant.includes(name)).map(({ each }) => each);
  };
  const forNode = choose(
    ({ hints }) => hints?.forNodes?.map(({ name }) => name),
    () => self().name,
  );
  if (forNode.length > 0) return forNode;
  const forZone = choose(
    ({ hints }) => hints?.forZones?.map(({ name }) => name),
    () => self().zone,
  );
  return forZone.length > 0 ? forZone : ready;
}

function inOrder(endpoints: readonly Candidate[]): Candidate[] {
  return endpoints.toSorted((a, b) => {
    const [x, y] = [parseIp(a.ip), parseIp(b.ip)];
    return (x === undefined || y === undefined ? 0 : compareIps(x, y)) || a.port - b.port;
  });
}
