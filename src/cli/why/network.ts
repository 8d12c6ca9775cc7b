/** The network's part of an answer: names as a pod's resolver finds them, and packets walked through what agents apply. */
import { compileNode } from "#compile/node/node.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { listenPort } from "#compile/mesh/gateway.ts";
import { workload } from "#compile/mesh/workload.ts";
import { walkPacket, type PacketOutcome } from "#decide/packet/walk.ts";
import { hop, type Hop, type Verdict } from "#decide/why/answer.ts";
import type { Pod } from "#model/core.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import type { WorldReader } from "#model/world.ts";
import { PlaceError, type Destination } from "./places.ts";

export interface Resolved {
  /** undefined: the name does not resolve, or not here. */
  readonly address: string | undefined;
  readonly hops: readonly Hop[];
  readonly verdict: Verdict;
}

/** The machine beside the nodes. */
const outsideAddress = "192.168.99.9";
/** SO_MARK of a proxy's own sockets. */
const proxyMark = 0x539;

export class Network {
  readonly #world: WorldReader;
  readonly #plans: readonly NodePlan[];

  constructor(world: WorldReader) {
    this.#world = world;
    this.#plans = world.all("Node").map(({ metadata }) => compileNode(world, { node: metadata.name, settings: DEFAULT_SETTINGS }));
  }

  /** As the pod's resolver asks: its search list first (ndots:5). */
  resolve(pod: Pod | undefined, { host, address }: Destination): Resolved {
    if (address !== undefined) return { address, hops: [], verdict: "allowed" };
    if (pod === undefined) {
      const text = `${host}: a machine outside the cluster does not use its DNS; name an address`;
      return { address: undefined, hops: [hop("name", text, "unknown", { verdict: "unknown" })], verdict: "unknown" };
    }
    const plan = this.#plans.find(({ node }) => node === pod.spec.nodeName);
    if (plan === undefined) throw new PlaceError(`Pod ${pod.metadata.namespace ?? ""}/${pod.metadata.name} is on no node of this cluster yet`);
    const { names, domain } = plan.zone;
    const suffixes = [`.${pod.metadata.namespace ?? ""}.svc.${domain}`, `.svc.${domain}`, `.${domain}`, ""];
    for (const suffix of suffixes) {
      const record = (names[`${host.toLowerCase()}${suffix}`] ?? []).find(({ type }) => type === "A" || type === "AAAA");
      if (record?.type !== "A" && record?.type !== "AAAA") continue;
      return { address: record.address, hops: [hop("name", `${host} -> ${record.address}`, "executed", { by: record.by })], verdict: "allowed" };
    }
    const inside = host.endsWith(`.${domain}`) || !host.includes(".");
    const text = inside ? `${host}: no such name (NXDOMAIN)` : `${host}: asked of the resolvers of the machine below`;
    const verdict = inside ? "denied" : "unknown";
    return { address: undefined, hops: [hop("name", text, inside ? "executed" : "unknown", { verdict })], verdict };
  }

  /** All ways of a new TCP connection to this address; a proxy's own sockets are not given to the proxy again. */
  walk(pod: Pod | undefined, destination: string, port: number, byProxy: boolean): readonly PacketOutcome[] {
    const via = this.#plans[0]?.node;
    if (pod === undefined) {
      if (via === undefined) throw new PlaceError("the cluster has no node");
      return walkPacket(this.#plans, { from: { kind: "outside", ip: outsideAddress, via }, destination, port, protocol: "tcp" });
    }
    const { namespace = "", name } = pod.metadata;
    if (!this.#plans.some((plan) => plan.pods.some((each) => each.namespace === namespace && each.name === name))) {
      throw new PlaceError(`Pod ${namespace}/${name} has no address in the pod network (it is not running, or uses its node's network)`);
    }
    return walkPacket(this.#plans, { from: { kind: "pod", namespace, name }, destination, port, protocol: "tcp", ...(byProxy ? { mark: proxyMark } : {}) });
  }

  gatewayPort(gateway: Pod, port: number): number {
    return listenPort(workload(gateway), this.#world.inNamespace("Service", gateway.metadata.namespace ?? ""), port);
  }
}
