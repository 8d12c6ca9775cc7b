/**
 * What container runtimes ask of this node, one request at a time for each container. ADD answers when the pod's part of
 * the plan, its policies and its interception are in the kernel: nothing of the pod can run before.
 *
 * With profile mesh another plugin has made the pod's network (`prevResult`): ADD adds interception and the proxy's socket
 * to a pod that has a proxy, leaves others alone, and hands the result on as it came.
 */
import type { Host } from "#host/host.ts";
import type { LocalPod } from "#compile/node/settings.ts";
import { POD_GATEWAY } from "#compile/node/settings.ts";
import type { Pod } from "#model/core.ts";
import type { NodePlan, PodWiring } from "#model/plan/node-plan.ts";
import { addressOfResult, CNI_ERRORS, CniError, type CniReply, type CniRequest, type CniResult, type PassedResult } from "#wire/cni/cni.ts";
import { hasProxy, proxyOf } from "./pod-proxies.ts";
import type { PodRecord, PodRecords } from "./pod-records.ts";

export interface CniOptions {
  readonly host: Pick<Host, "clock" | "netns">;
  readonly profile: "full" | "mesh";
  readonly records: PodRecords;
  /** undefined until the node has a range. */
  readonly podCIDR: () => string | undefined;
  readonly findPod: (key: string) => Pod | undefined;
  /** "namespace/name" of who has the address, as the API says. */
  readonly podAt: (ip: string) => string | undefined;
  readonly wire: (pod: LocalPod) => void;
  readonly unwire: (uid: string) => void;
  readonly applied: () => Promise<NodePlan>;
  /** Why a pod could not be wired. */
  readonly failureOf: (uid: string) => unknown;
  /** What of a wired pod is not in the kernel as it was made; undefined: nothing. */
  readonly verify: (uid: string) => Promise<string | undefined>;
  /** Resolves when the policies that are in the API now are known here. */
  readonly policiesKnown: (namespace: string) => Promise<void>;
  /** Before ADD answers: the socket of the pod's proxy, if it has one. */
  readonly serveProxy: (record: PodRecord) => Promise<void>;
  readonly forgetProxy: (uid: string) => Promise<void>;
  /** The file of a pod's namespace as this program sees it. */
  readonly netnsPath: (path: string) => string;
  readonly dnsAddress: string;
  readonly clusterDomain: string;
}

/** The pod may have been bound a moment ago: its object is on its way to us. */
const POD_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 10;

export class CniRequests {
  readonly #options: CniOptions;
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(options: CniOptions) {
    this.#options = options;
  }

  async handle(asked: CniRequest): Promise<CniReply> {
    const request = { ...asked, netns: this.#options.netnsPath(asked.netns) };
    try {
      return (await this.#inTurn(request.containerId, () => this.#dispatch(request))) ?? {};
    } catch (error) {
      const known = error instanceof CniError ? error : new CniError(CNI_ERRORS.agent, error instanceof Error ? error.message : String(error));
      return { error: { code: known.code, message: known.message, details: known.details } };
    }
  }

  /** Joins a pod of whose ADD nobody told us. */
  join(pod: Pod, record: PodRecord): Promise<void> {
    return this.#inTurn(record.containerId, () => this.#joined({ ...record, ...proxyOf(pod) }));
  }

  async #inTurn<T>(containerId: string, act: () => Promise<T>): Promise<T> {
    const before = this.#running.get(containerId) ?? Promise.resolve();
    const work = before.catch(() => {}).then(act);
    this.#running.set(containerId, work);
    try {
      return await work;
    } finally {
      if (this.#running.get(containerId) === work) this.#running.delete(containerId);
    }
  }

  async #dispatch(request: CniRequest): Promise<CniReply | undefined> {
    switch (request.command) {
      case "ADD":
        return { result: this.#options.profile === "full" ? await this.#add(request) : await this.#join(request) };
      case "DEL":
        return this.#remove(request.containerId);
      case "CHECK":
        return this.#check(request);
      case "STATUS":
        if (this.#options.profile === "full" && this.#options.podCIDR() === undefined)
          throw new CniError(CNI_ERRORS.notAvailable, "the node has no range for pods yet (Node spec.podCIDR)");
        return undefined;
      case "GC":
        for (const { containerId } of this.#options.records.all()) if (!request.validContainerIds.includes(containerId)) await this.#remove(containerId);
        return undefined;
      case "VERSION":
        return undefined;
    }
  }

  /** Pods that went without a DEL: their namespaces are gone. */
  async sweep(): Promise<void> {
    for (const { containerId, netns } of this.#options.records.all()) if (!(await this.#options.host.netns.exists(netns))) await this.#remove(containerId);
  }

  async #add(request: CniRequest): Promise<CniResult> {
    const { records, podAt } = this.#options;
    await this.#mayBeAdded(request);
    const podCIDR = this.#options.podCIDR();
    if (podCIDR === undefined) throw new CniError(CNI_ERRORS.tryLater, "the node has no range for pods yet (Node spec.podCIDR)");
    const pod = await this.#pod(request);
    await this.#options.policiesKnown(pod.metadata.namespace ?? "");
    const own = `${pod.metadata.namespace ?? ""}/${pod.metadata.name}`;
    const isAnothers = (ip: string): boolean => (podAt(ip) ?? own) !== own;
    const record = await records.add(recordOf(request, pod), { podCIDR, isAnothers, gone: (gone) => this.#forget(gone) });
    const wiring = await this.#wired(record);
    return {
      cniVersion: request.cniVersion,
      interfaces: [
        { name: wiring.hostLink, mac: wiring.hostMac, mtu: wiring.mtu },
        { name: "eth0", mac: wiring.podMac, mtu: wiring.mtu, sandbox: record.netns },
      ],
      ips: [{ address: `${record.ip}/32`, gateway: POD_GATEWAY, interface: 1 }],
      routes: [{ dst: "0.0.0.0/0", gw: POD_GATEWAY }],
      dns: this.#dns(record.namespace),
    };
  }

  /** Chained behind another plugin. */
  async #join(request: CniRequest): Promise<{ readonly passed: PassedResult }> {
    const { prevResult: passed } = request;
    await this.#mayBeAdded(request);
    const ip = passed === undefined ? undefined : addressOfResult(passed);
    if (passed === undefined || ip === undefined)
      throw new CniError(
        CNI_ERRORS.invalidConfig,
        "prevResult: has no address; with profile mesh weft-cni stands behind the plugin that makes the pods' network",
      );
    const pod = await this.#pod(request);
    if (hasProxy(pod)) await this.#joined({ ...recordOf(request, pod), ip });
    return { passed };
  }

  async #joined(record: PodRecord): Promise<void> {
    await this.#options.records.set(record);
    await this.#wired(record);
  }

  async #mayBeAdded(request: CniRequest): Promise<void> {
    if (request.interface !== "eth0")
      throw new CniError(CNI_ERRORS.unsupportedField, `CNI_IFNAME: value "${request.interface}" is not supported; a pod's link is eth0`);
    if (!(await this.#options.host.netns.exists(request.netns)))
      throw new CniError(CNI_ERRORS.unknownContainer, `CNI_NETNS: there is no network namespace at ${request.netns}`);
  }

  async #wired(record: PodRecord): Promise<PodWiring> {
    const { wire, applied, failureOf, serveProxy } = this.#options;
    wire(localPod(record));
    const plan = await applied();
    const failure = failureOf(record.uid);
    const wiring = plan.pods.find(({ uid }) => uid === record.uid);
    if (failure !== undefined || wiring === undefined) {
      throw new CniError(CNI_ERRORS.agent, `Pod ${record.namespace}/${record.name}: could not be wired`, words(failure));
    }
    await serveProxy(record);
    return wiring;
  }

  #dns(namespace: string): CniResult["dns"] {
    const { clusterDomain: domain, dnsAddress } = this.#options;
    return { nameservers: [dnsAddress], domain, search: [`${namespace}.svc.${domain}`, `svc.${domain}`, domain], options: ["ndots:5"] };
  }

  async #pod(request: CniRequest): Promise<Pod> {
    const { K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: name, K8S_POD_UID: uid } = request.args;
    if (namespace === undefined || name === undefined) throw new CniError(CNI_ERRORS.invalidEnvironment, "CNI_ARGS needs K8S_POD_NAMESPACE and K8S_POD_NAME");
    const { clock } = this.#options.host;
    const until = clock.monotonic() + POD_WITHIN_MS;
    for (;;) {
      const pod = this.#options.findPod(`${namespace}/${name}`);
      if (pod !== undefined && (uid === undefined || pod.metadata.uid === uid)) return pod;
      if (clock.monotonic() > until)
        throw new CniError(
          CNI_ERRORS.tryLater,
          `Pod ${namespace}/${name}${uid === undefined ? "" : ` (uid ${uid})`} is not known to this node yet; is the API server reachable?`,
        );
      await clock.sleep(LOOK_EVERY_MS);
    }
  }

  async #remove(containerId: string): Promise<undefined> {
    const record = this.#options.records.get(containerId);
    if (record === undefined) return undefined;
    await this.#forget(record);
    // The address is free when its routes and rules are gone, not before.
    await this.#options.applied();
    await this.#options.records.remove(containerId);
    return undefined;
  }

  async #forget({ uid, containerId }: PodRecord): Promise<void> {
    // A sandbox that died is removed late: its pod may have another by then.
    if (this.#options.records.newestOf(uid)?.containerId !== containerId) return;
    this.#options.unwire(uid);
    await this.#options.forgetProxy(uid);
  }

  async #check(request: CniRequest): Promise<undefined> {
    const record = this.#options.records.get(request.containerId);
    // Behind another plugin only pods with a proxy are ours.
    if (record === undefined && this.#options.profile === "mesh") return undefined;
    if (record === undefined) throw new CniError(CNI_ERRORS.unknownContainer, `container ${request.containerId} was never added on this node`);
    await this.#options.applied();
    const failure = this.#options.failureOf(record.uid);
    const difference = failure === undefined ? await this.#options.verify(record.uid) : words(failure);
    if (difference !== undefined) throw new CniError(CNI_ERRORS.agent, `Pod ${record.namespace}/${record.name} is not wired`, difference);
    return undefined;
  }
}

function recordOf(request: CniRequest, pod: Pod): Omit<PodRecord, "ip"> {
  const { containerId, netns } = request;
  const { uid = containerId, namespace = "", name } = pod.metadata;
  return { containerId, uid, namespace, name, netns, ...proxyOf(pod) };
}

function words(failure: unknown): string {
  return failure instanceof Error ? failure.message : "";
}

export function localPod({ uid, namespace, name, ip, netns }: PodRecord): LocalPod {
  return { uid, namespace, name, ip, netns };
}
