/** The network's part of an answer: names, service addresses, NetworkPolicies, routes. Over the plans that agents apply. */
import { compileNode } from "#compile/node/node.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { listenPort } from "#compile/mesh/gateway.ts";
import { workload } from "#compile/mesh/workload.ts";
import { hop, type Hop, type Verdict } from "#decide/why/answer.ts";
import type { Pod } from "#model/core.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import type { WorldReader } from "#model/world.ts";
import { wireHop } from "./why-wire.ts";
import type { Destination } from "./why-places.ts";

export interface Resolved {
  /** undefined: the name does not resolve, or not here. */
  readonly address: string | undefined;
  readonly hops: readonly Hop[];
  readonly verdict: Verdict;
}

export interface NetworkPath {
  readonly hops: readonly Hop[];
  readonly verdict: Verdict;
  readonly effect?: string;
}

/** Where a connection to an address goes, and how likely. */
export interface NetworkDestination extends NetworkPath {
  readonly address: string;
  readonly port: number;
  readonly share: number;
}

export class Network {
  readonly #world: WorldReader;
  readonly #plans = new Map<string, NodePlan>();

  constructor(world: WorldReader) {
    this.#world = world;
  }

  #plan(node: string): NodePlan {
    const known = this.#plans.get(node);
    if (known !== undefined) return known;
    const plan = compileNode(this.#world, { node, settings: DEFAULT_SETTINGS });
    this.#plans.set(node, plan);
    return plan;
  }

  /** As the pod's resolver asks: its search list first (ndots:5). */
  resolve(pod: Pod | undefined, { host, address }: Destination): Resolved {
    if (address !== undefined) return { address, hops: [], verdict: "allowed" };
    if (pod === undefined) {
      const text = `${host}: a machine outside the cluster does not use its DNS; name an address`;
      return { address: undefined, hops: [hop("name", text, "unknown", { verdict: "unknown" })], verdict: "unknown" };
    }
    const { names, domain } = this.#plan(pod.spec.nodeName ?? "").zone;
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

  /** Whether a pod's own namespace gives such a connection to its proxy. */
  isIntercepted(pod: Pod, _direction: "in" | "out", _address: string, _port: number): boolean {
    const wiring = this.#wiring(pod);
    return (wiring?.inside.tables ?? []).length > 0;
  }

  #wiring(pod: Pod) {
    return this.#plan(pod.spec.nodeName ?? "").pods.find(({ namespace, name }) => namespace === pod.metadata.namespace && name === pod.metadata.name);
  }

  /** Service addresses lead to endpoints, each as likely as the others; any other address is itself. */
  destinations(pod: Pod | undefined, address: string, port: number): readonly NetworkDestination[] {
    const node = pod?.spec.nodeName ?? this.#world.all("Node")[0]?.metadata.name ?? "";
    const balanced = this.#plan(node).balanced.find((each) => each.address === address && each.port === port && each.protocol === "tcp");
    if (balanced === undefined) return [{ address, port, share: 1, hops: [], verdict: "allowed" }];
    if (balanced.endpoints.length === 0) {
      const text = `${address}:${port} has no ready endpoint: refused`;
      return [
        {
          address,
          port,
          share: 1,
          hops: [hop("service", text, "modelled", { by: balanced.by, verdict: "denied" })],
          verdict: "denied",
          effect: "connection refused",
        },
      ];
    }
    const count = balanced.endpoints.length;
    return balanced.endpoints.map((endpoint) => {
      const [ip = "", number = ""] = endpoint.split(":");
      const text = `${address}:${port} -> ${endpoint} (1 of ${count})`;
      return { address: ip, port: Number(number), share: 1 / count, hops: [hop("service", text, "modelled", { by: balanced.by })], verdict: "allowed" };
    });
  }

  /** A connection with these addresses from one end to the other. */
  walk(pod: Pod | undefined, address: string, port: number, _byProxy: boolean): NetworkPath {
    void port;
    const hops: Hop[] = [];
    if (pod !== undefined) {
      const wire = wireHop(this.#plan(pod.spec.nodeName ?? ""), address);
      hops.push(wire);
      if (wire.verdict !== "allowed") return { hops, verdict: wire.verdict, effect: "no answer" };
    }
    return { hops, verdict: "allowed" };
  }

  gatewayPort(gateway: Pod, port: number): number {
    return listenPort(workload(gateway), this.#world.inNamespace("Service", gateway.metadata.namespace ?? ""), port);
  }
}
