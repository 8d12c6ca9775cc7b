/**
 * Profile mesh: pods whose proxy waits for a socket that nobody makes, because the runtime made their network before our plugin
 * stood behind the other one (they are older than the agent, or its state is lost). They are joined to the mesh as ADD
 * would have: rules first, then the socket. What started before is told on the pod; so is one that cannot be joined.
 */
import type { Pod } from "#model/core.ts";
import { formatIp, parseIp } from "#lib/ip.ts";
import type { Log } from "#run/log.ts";
import type { PodRecord } from "./pod-records.ts";
import type { PodWord } from "./report.ts";

export interface PodSandbox {
  readonly containerId: string;
  /** File of the pod's namespace. */
  readonly netns: string;
}

export interface LatePodsOptions {
  readonly node: string;
  readonly log: Log;
  readonly pods: () => Iterable<Pod>;
  /** Whether the runtime asked for it, or it was joined. */
  readonly isKnown: (uid: string) => boolean;
  /** A string says why not. */
  readonly sandboxOf: (uid: string) => Promise<PodSandbox | string>;
  readonly join: (pod: Pod, record: PodRecord) => Promise<void>;
  readonly tell: (pod: Pod, word: PodWord) => void;
}

export class LatePods {
  readonly #options: LatePodsOptions;
  /** What was told of a pod that could not be joined, by uid. */
  readonly #told = new Map<string, string>();
  #looking: Promise<void> = Promise.resolve();

  constructor(options: LatePodsOptions) {
    this.#options = options;
  }

  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { node, pods, isKnown } = this.#options;
    const late = [...pods()].filter((pod) => isWaiting(pod, node) && !isKnown(pod.metadata.uid ?? ""));
    for (const pod of late) await this.#repair(pod);
    const uids = new Set(late.map(({ metadata }) => metadata.uid));
    for (const uid of this.#told.keys()) if (!uids.has(uid)) this.#told.delete(uid);
  }

  async #repair(pod: Pod): Promise<void> {
    const { log, sandboxOf, join, tell } = this.#options;
    const { namespace = "", name, uid = "" } = pod.metadata;
    const object = `Pod ${namespace}/${name}`;
    let problem: string;
    try {
      const [sandbox, ip] = [await sandboxOf(uid), addressOf(pod)];
      if (typeof sandbox !== "string" && ip !== undefined) {
        await join(pod, { ...sandbox, uid, namespace, name, ip });
        log.info("joined a pod that is older than this node's agent to the mesh", { object });
        if (hasBegun(pod)) tell(pod, BEGUN);
        return;
      }
      problem = typeof sandbox === "string" ? sandbox : "it has no IPv4 address";
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    if (this.#told.get(uid) === problem) return;
    this.#told.set(uid, problem);
    log.warn("a pod is older than this node's agent and could not be joined to the mesh; it must be made anew", { object, reason: problem });
    const message = `the pod is older than its node's agent and could not be joined to the mesh (${problem}); delete it, so that it is made anew`;
    tell(pod, { type: "Warning", reason: "NotInMesh", message });
  }
}

const BEGUN: PodWord = {
  type: "Warning",
  reason: "JoinedLate",
  message:
    "the pod is older than its node's agent and was joined to the mesh while its containers ran: connections that were open then go past its proxy until they close; delete the pod if none may",
};

/** Its network is made, so nobody is asked any more; and the proxy in it is ours, not that of an Istio beside us. */
function isWaiting({ metadata, spec, status }: Pod, node: string): boolean {
  const isThere = spec.nodeName === node && spec.hostNetwork !== true && metadata.deletionTimestamp === undefined;
  const isMade = status?.podIP !== undefined && status.podIP !== "" && status.phase !== "Succeeded" && status.phase !== "Failed";
  const proxy = [...spec.containers, ...(spec.initContainers ?? [])].find(({ name }) => name === "istio-proxy");
  return isThere && isMade && proxy?.env?.some(({ name }) => name === "WEFT_PROXY_KIND") === true;
}

/** Only containers that come after the proxy, which wait for it, can have had connections. */
function hasBegun({ status }: Pod): boolean {
  return (status?.containerStatuses ?? []).some(({ name, state }) => name !== "istio-proxy" && state?.running !== undefined);
}

function addressOf({ status }: Pod): string | undefined {
  const addresses = [status?.podIP, ...(status?.podIPs ?? []).map(({ ip }) => ip)];
  return addresses.map((each) => parseIp(each ?? "")).flatMap((ip) => (ip?.family === 4 ? [formatIp(ip)] : []))[0];
}
