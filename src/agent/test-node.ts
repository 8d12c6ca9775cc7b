/** A node's answers to container runtimes, with its kernel and without an API: what tests of pods' comings and goings start. */
import { NodeCompiler } from "#compile/node/node-compiler.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import type { Host } from "#host/host.ts";
import type { Pod } from "#model/core.ts";
import type { KubeObject } from "#model/object.ts";
import { objectKey } from "#model/object.ts";
import type { KindId } from "#model/kinds.ts";
import { silentLog } from "#run/log.ts";
import type { CniReply, CniRequest } from "#wire/cni/cni.ts";
import { PlanApplier } from "./apply-plan.ts";
import { CniRequests, localPod } from "./cni-requests.ts";
import { PlanLoop } from "./plan-loop.ts";
import { PodRecords } from "./pod-records.ts";

export interface TestNode {
  /** As the API tells it; undefined: it is gone. */
  set(kind: KindId, key: string, object: KubeObject | undefined): void;
  ask(request: Partial<CniRequest> & Pick<CniRequest, "command">): Promise<CniReply>;
  sweep(): Promise<void>;
  records(): readonly { readonly ip: string; readonly containerId: string }[];
  /** As `kill -9`. */
  kill(): void;
}

/** node-1, as kubelet and the controller manager describe it. */
export function nodeWith({ podCIDR, address }: { readonly podCIDR: string; readonly address: string }): TestNodeOptions["node"] {
  const status = { addresses: [{ type: "InternalIP", address }] };
  return { apiVersion: "v1", kind: "Node", metadata: { name: "node-1" }, spec: { podCIDR }, status } as TestNodeOptions["node"];
}

export interface TestNodeOptions {
  readonly folder: string;
  /** A Node object with its range; its address is on the host's eth0. */
  readonly node: KubeObject & { readonly spec: { readonly podCIDR: string } };
  /** What the API says when this agent starts. */
  readonly objects: ReadonlyMap<string, { readonly kind: KindId; readonly object: KubeObject }>;
}

export async function startTestNode(host: Host, { folder, node, objects }: TestNodeOptions): Promise<TestNode> {
  const pods = new Map<string, Pod>();
  const compiler = new NodeCompiler({ node: node.metadata.name, settings: { ...DEFAULT_SETTINGS, proxyKnownBy: "uid" } });
  const records = new PodRecords(host, `${folder}/pods.json`);
  for (const record of await records.load()) compiler.wire(localPod(record));
  const applier = new PlanApplier(host, silentLog);
  const loop = new PlanLoop({
    clock: host.clock,
    log: silentLog,
    compile: () => compiler.plan(),
    apply: (plan) => applier.apply(plan),
    applied: () => undefined,
  });
  const set: TestNode["set"] = (kind, key, object) => {
    if (kind === "Pod" && object === undefined) pods.delete(key);
    if (kind === "Pod" && object !== undefined) pods.set(key, object as Pod);
    compiler.apply(object === undefined ? { kind, key } : { kind, key, object });
    // As in the agent: nothing is applied before all is known that the API has.
    if (isStarted) loop.changed();
  };
  let isStarted = false;
  set("Node", node.metadata.name, node);
  for (const { kind, object } of objects.values()) set(kind, objectKey(object), object);
  isStarted = true;
  await loop.applied();
  const requests = new CniRequests({
    host,
    profile: "full",
    records,
    podCIDR: () => node.spec.podCIDR,
    findPod: (key) => pods.get(key),
    podAt: () => undefined,
    wire: (pod) => compiler.wire(pod),
    unwire: (uid) => compiler.unwire(uid),
    applied: () => loop.applied(),
    failureOf: (uid) => applier.failures.get(uid),
    verify: (uid) => applier.verify(uid),
    policiesKnown: () => Promise.resolve(),
    serveProxy: () => Promise.resolve(),
    forgetProxy: () => Promise.resolve(),
    netnsPath: (path) => path,
    dnsAddress: DEFAULT_SETTINGS.dnsAddress,
    clusterDomain: DEFAULT_SETTINGS.clusterDomain,
  });
  return {
    set,
    ask: (request) =>
      requests.handle({
        cniVersion: "1.0.0",
        network: "weft",
        containerId: "",
        netns: "",
        interface: "eth0",
        args: {},
        socket: "",
        validContainerIds: [],
        ...request,
      }),
    sweep: () => requests.sweep(),
    records: () => records.all(),
    kill() {
      loop.stop();
      applier.close();
    },
  };
}
