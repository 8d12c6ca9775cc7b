/**
 * Makes the kernel be as a NodePlan says. What is there already is kept, so an agent that starts again adopts what its
 * predecessor made and no connection notices. Tables are compared with the last ones applied; the first time nothing is
 * known, so they are replaced in one transaction, which keeps conntrack as it is.
 */
import { VXLAN_DEVICE } from "#compile/node/settings.ts";
import type { Host } from "#host/host.ts";
import type { NeighbourFacts, NetlinkSession, RouteFacts } from "#host/netlink.ts";
import type { Table } from "#lib/nft-ruleset.ts";
import type { NodePlan, PlannedNeighbour, PlannedRoute, PodWiring } from "#model/plan/node-plan.ts";
import type { Log } from "#run/log.ts";
import { diffTable } from "#wire/nft/diff.ts";

export interface ApplierOptions {
  /** "mesh": links, routes and addresses are another plugin's, and none of them is ours to delete. Default "full". */
  readonly profile?: "full" | "mesh";
  /** Before a setting of the node is written. */
  readonly beforeSysctl?: (key: string, value: string) => Promise<void>;
}

export type ApplyHost = Pick<Host, "netlink" | "nft" | "netns">;

/** Host ends of pods' links: "weft" and 11 digits. */
const HOST_LINK = /^weft[0-9a-f]{11}$/;

export class PlanApplier {
  readonly #host: ApplyHost;
  readonly #log: Log;
  readonly #session: NetlinkSession;
  /** Of the node; undefined before the first plan. */
  #applied: NodePlan | undefined;
  /** Tables in pods' namespaces, by uid. */
  readonly #podTables = new Map<string, readonly Table[]>();
  /** The namespace that was wired, by uid: a sandbox that is made anew has another one. */
  readonly #podsWired = new Map<string, string>();
  readonly #profile: "full" | "mesh";
  readonly #beforeSysctl: NonNullable<ApplierOptions["beforeSysctl"]>;
  readonly #sysctls = new Map<string, string>();
  /** Pods that could not be wired, with the reason. One broken pod must not stop the others. */
  readonly failures = new Map<string, unknown>();

  constructor(host: ApplyHost, log: Log, { profile = "full", beforeSysctl = async () => {} }: ApplierOptions = {}) {
    this.#profile = profile;
    this.#beforeSysctl = beforeSysctl;
    this.#host = host;
    this.#log = log;
    this.#session = host.netlink.open();
  }

  /** Policy first, links after: a pod is never reachable before its rules are there. */
  async apply(plan: NodePlan): Promise<void> {
    await this.#tables(this.#applied?.tables, plan.tables, undefined);
    await this.#tunnel(plan);
    for (const pod of plan.pods) await this.#pod(pod);
    await this.#network(plan);
    await this.#forget(plan);
    this.#applied = plan;
  }

  /** What of a wired pod is not as it was made, in words; undefined: nothing. */
  async verify(uid: string): Promise<string | undefined> {
    const pod = this.#applied?.pods.find((each) => each.uid === uid);
    if (pod?.netns === undefined) return "is not in the node's plan";
    const inside = this.#host.netlink.open(pod.netns);
    try {
      if (!(await inside.links()).some(({ name, up }) => name === "eth0" && up)) return "has no link eth0, or it is down";
      const addresses = (await inside.addresses()).filter(({ link }) => link === "eth0").map(({ cidr }) => cidr.split("/")[0]);
      if (!addresses.includes(pod.ip)) return `has not its address ${pod.ip} on eth0`;
      if (this.#profile === "full" && !(await this.#session.links()).some(({ name }) => name === pod.hostLink))
        return `has no link ${pod.hostLink} on the node`;
      return undefined;
    } finally {
      inside.close();
    }
  }

  close(): void {
    this.#session.close();
  }

  async #tables(before: readonly Table[] | undefined, after: readonly Table[], netns: string | undefined): Promise<void> {
    const old = new Map((before ?? []).map((table) => [table.name, table]));
    const parts = after.map((table) => {
      const from = old.get(table.name);
      old.delete(table.name);
      return diffTable(from, table);
    });
    const text = [...parts, ...[...old.values()].map((table) => diffTable(table, undefined))].join("");
    if (text === "") return;
    const learned = before === undefined ? await this.#learned(after, netns) : "";
    try {
      await this.#host.nft.apply(text + learned, netns);
    } catch (error) {
      if (learned !== "") {
        // Perhaps of another version, whose map was another.
        this.#log.warn("which clients stay with which endpoint could not be taken over; they may get another one", { object: netns ?? "node", error });
        return this.#host.nft.apply(text, netns);
      }
      if (before === undefined) throw error;
      // Somebody changed the tables behind our back: what is there is unknown, so it is replaced.
      this.#log.warn("the kernel's rules are not what they were left as; they are written anew", { object: netns ?? "node", error });
      await this.#tables(undefined, after, netns);
    }
  }

  /** What rules themselves have put into maps of a table that is about to be replaced, as commands that put it there again. */
  async #learned(tables: readonly Table[], netns: string | undefined): Promise<string> {
    const commands: string[] = [];
    for (const { family, name: table, maps } of tables) {
      for (const { name } of maps.filter(({ learns }) => learns !== undefined)) {
        const elements = await this.#host.nft.elements({ family, table, name }, netns);
        if (elements !== "") commands.push(`add element ${family} ${table} ${name} { ${elements} }\n`);
      }
    }
    return commands.join("");
  }

  async #tunnel(plan: NodePlan): Promise<void> {
    if (plan.vxlan === undefined) return;
    const { name, vni, port, local, device, mtu, mac } = plan.vxlan;
    await this.#session.addLink({ kind: "vxlan", name, vni, port, local, device, mtu, mac, learning: false });
    await this.#session.setLink(name, { up: true });
  }

  async #pod(pod: PodWiring): Promise<void> {
    if (pod.netns === undefined) return;
    try {
      if (this.#podsWired.get(pod.uid) !== pod.netns) {
        this.#podTables.delete(pod.uid);
        if (this.#profile === "full") await this.#wire(pod, pod.netns);
      }
      await this.#tables(this.#podTables.get(pod.uid), pod.inside.tables, pod.netns);
      this.#podTables.set(pod.uid, pod.inside.tables);
      this.#podsWired.set(pod.uid, pod.netns);
      this.failures.delete(pod.uid);
    } catch (error) {
      this.failures.set(pod.uid, error);
      this.#log.warn("could not wire a pod", { object: `Pod ${pod.namespace}/${pod.name}`, error });
    }
  }

  async #wire(pod: PodWiring, netns: string): Promise<void> {
    const inside = this.#host.netlink.open(netns);
    try {
      const present = (await inside.links()).some(({ name }) => name === "eth0");
      if (!present) {
        // A link of that name whose other end is lost can only be of an attempt that was cut off.
        await this.#session.deleteLink(pod.hostLink);
        await this.#session.addLink({
          kind: "veth",
          name: pod.hostLink,
          mac: pod.hostMac,
          mtu: pod.mtu,
          peer: { name: "eth0", netns, mac: pod.podMac, mtu: pod.mtu },
        });
      }
      for (const { key, value } of pod.inside.sysctls) await this.#host.netns.sysctl(netns, key, value).catch(ignoreAbsentIpv6(key));
      await inside.setLink("lo", { up: true });
      await inside.setLink("eth0", { up: true });
      // Interception before the first route: nothing leaves the pod past its proxy.
      await this.#tables(this.#podTables.get(pod.uid), pod.inside.tables, netns);
      this.#podTables.set(pod.uid, pod.inside.tables);
      for (const { link, cidr } of pod.inside.addresses) await inside.addAddress(link, cidr);
      for (const neighbour of pod.inside.neighbours) await inside.addNeighbour(neighbourFacts(neighbour));
      for (const route of pod.inside.routes) await inside.addRoute(routeFacts(route));
    } finally {
      inside.close();
    }
    await this.#session.setLink(pod.hostLink, { up: true });
  }

  async #network(plan: NodePlan): Promise<void> {
    const links = new Set((await this.#session.links()).map(({ name }) => name));
    const here = <T extends { readonly link: string }>(list: readonly T[]) => list.filter(({ link }) => links.has(link));
    for (const { key, value } of plan.sysctls) {
      if (this.#sysctls.get(key) === value || !sysctlLinkExists(key, links)) continue;
      await this.#beforeSysctl(key, value);
      await this.#host.netns.sysctl(undefined, key, value).catch(ignoreAbsentIpv6(key));
      this.#sysctls.set(key, value);
    }
    const old = this.#applied;
    const knownAddresses = new Set(old?.addresses.map((each) => JSON.stringify(each)));
    for (const address of here(plan.addresses)) if (!knownAddresses.has(JSON.stringify(address))) await this.#session.addAddress(address.link, address.cidr);
    const knownNeighbours = new Set(old?.neighbours.map((each) => JSON.stringify(each)));
    for (const neighbour of here(plan.neighbours))
      if (!knownNeighbours.has(JSON.stringify(neighbour))) await this.#session.addNeighbour(neighbourFacts(neighbour));
    const knownRoutes = new Set(old?.routes.map((each) => JSON.stringify(each)));
    for (const route of here(plan.routes)) if (!knownRoutes.has(JSON.stringify(route))) await this.#session.addRoute(routeFacts(route));
  }

  /** What no plan asks for any more, also what an earlier agent left. */
  async #forget(plan: NodePlan): Promise<void> {
    if (this.#profile === "full") await this.#forgetNetwork(plan);
    const uids = new Set(plan.pods.map(({ uid }) => uid));
    for (const uid of [...this.#podsWired.keys(), ...this.failures.keys()].filter((each) => !uids.has(each))) {
      this.#podsWired.delete(uid);
      this.#podTables.delete(uid);
      this.failures.delete(uid);
    }
  }

  async #forgetNetwork(plan: NodePlan): Promise<void> {
    const links = new Set(plan.pods.map((pod) => pod.hostLink));
    for (const { name } of await this.#session.links()) if (HOST_LINK.test(name) && !links.has(name)) await this.#session.deleteLink(name);
    for (const key of this.#sysctls.keys()) if (!plan.sysctls.some((each) => each.key === key)) this.#sysctls.delete(key);
    const routes = new Set(plan.routes.map(({ destination }) => destination));
    for (const route of await this.#session.routes()) {
      if (route.link === VXLAN_DEVICE && route.gateway !== undefined && !routes.has(route.destination)) await this.#session.deleteRoute(route);
    }
    const wanted = new Set(plan.neighbours.map((each) => neighbourKey(neighbourFacts(each))));
    for (const neighbour of await this.#session.neighbours()) {
      if (neighbour.link === VXLAN_DEVICE && neighbour.permanent && !wanted.has(neighbourKey(neighbour))) await this.#session.deleteNeighbour(neighbour);
    }
  }
}

function routeFacts({ destination, link, gateway, onlink, source }: PlannedRoute): RouteFacts {
  return {
    destination,
    link,
    ...(gateway === undefined ? { scope: "link" as const } : { gateway }),
    ...(onlink === undefined ? {} : { onlink }),
    ...(source === undefined ? {} : { source }),
  };
}

function neighbourFacts({ link, mac, ip, tunnel }: PlannedNeighbour): NeighbourFacts {
  return {
    link,
    mac,
    permanent: true,
    ...(tunnel === undefined ? { family: "ip" as const, ...(ip === undefined ? {} : { ip }) } : { family: "bridge" as const, destination: tunnel }),
  };
}

function neighbourKey({ family, mac, ip, destination }: NeighbourFacts): string {
  return [family, mac, ip ?? "", destination ?? ""].join(" ");
}

/** "net.ipv4.conf.weft0a1b2c3d4e5.rp_filter": only while the link is there. */
function sysctlLinkExists(key: string, links: ReadonlySet<string>): boolean {
  const link = /^net[.]ipv[46][.]conf[.](.+)[.][a-z0-9_]+$/.exec(key)?.[1];
  return link === undefined || link === "all" || link === "default" || links.has(link);
}

/** A kernel without IPv6 has nothing to switch off. */
function ignoreAbsentIpv6(key: string): (error: unknown) => void {
  return (error) => {
    if (!key.startsWith("net.ipv6.") || !(error instanceof Error) || (error as { code?: string }).code !== "ENOENT") throw error;
  };
}
