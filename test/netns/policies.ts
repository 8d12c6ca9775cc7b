/**
 * Run by network.test.ts inside namespaces of its own: what random NetworkPolicies allow by the evaluator of
 * policy-cases.ts is what packets do, between pods of one node and of two, to a pod's Service, and to a machine outside.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { KubeObject } from "#model/object.ts";
import { netnsPath } from "#supervisor/network.ts";
import { call, callUdp, host, makeLab, run, serve, serveUdp } from "./lab.ts";
import { drawFrom, drawLabels, drawPolicies, isAllowed, namespaceLabels, policyObject, type NamespaceLabels, type Place, type State } from "./policy-cases.ts";

const seed = Number(process.env["WEFT_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const CASES = process.env["WEFT_TEST_LONG"] === "1" ? 150 : 12;
/** What is dropped never answers; what is allowed and did not answer yet is asked again with patience. */
const SILENCE_MS = 300;
const PATIENCE_MS = 3000;

const lab = await makeLab();

async function setNamespaces(all: NamespaceLabels): Promise<void> {
  await lab.set(...Object.entries(all).map(([name, labels]) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } }) as KubeObject));
}
await setNamespaces(namespaceLabels);

interface Dweller extends Place {
  readonly netns: string;
  /** Its object, with other labels. */
  relabelled(labels: Readonly<Record<string, string>>): KubeObject;
}

async function dwell(node: string, key: string, ip: string, labels: Readonly<Record<string, string>>, webPort: number): Promise<Dweller> {
  const [namespace = "", name = ""] = key.split("/");
  const ports = [
    { name: "web", containerPort: webPort, protocol: "TCP" },
    { name: "talk", containerPort: 8080, protocol: "UDP" },
  ];
  const initContainers = [
    { name: "once", ports: [{ name: "web", containerPort: 8079 }] },
    { name: "beside", restartPolicy: "Always", ports: [{ name: "side", containerPort: 8081 }] },
  ];
  const spec = { nodeName: node, containers: [{ name: "app", ports }], initContainers };
  const netns = await lab.addPod({ uid: `${namespace}-${name}`, namespace, name, ip, node, labels, more: { spec } });
  for (const port of [8080, 8081]) await serve(netns, ip, port, key);
  await serveUdp(netns, ip, 8080, key);
  return {
    pod: key,
    namespace,
    ip,
    labels,
    netns,
    ports: { web: { protocol: "TCP", port: webPort }, talk: { protocol: "UDP", port: 8080 }, side: { protocol: "TCP", port: 8081 } },
    relabelled: (other) =>
      ({
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, namespace, uid: `${namespace}-${name}`, labels: other },
        spec,
        status: { podIP: ip, phase: "Running" },
      }) as KubeObject,
  };
}

const dwellers = [
  await dwell("node-1", "x/a", "10.244.0.5", { app: "a" }, 8080),
  await dwell("node-1", "x/b", "10.244.0.6", { app: "b", canary: "" }, 8081),
  await dwell("node-2", "x/c", "10.244.1.7", { app: "c" }, 8080),
  await dwell("node-2", "y/a", "10.244.1.8", { app: "a", canary: "1" }, 8081),
  await dwell("node-1", "y/b", "10.244.0.9", { app: "b" }, 8080),
  await dwell("node-2", "z/a", "10.244.1.10", { app: "a" }, 8081),
];
const beyond = (ip: string, netns: string, hosts: readonly string[] = []): Dweller => ({
  pod: undefined,
  namespace: "",
  ip,
  labels: {},
  netns,
  ports: {},
  hosts,
  relabelled: () => {
    throw new Error("no pod");
  },
});
const outside = beyond("192.168.99.9", netnsPath("outside"));
/** With their addresses in the pod network, which pods of other nodes see. */
const nodes = [beyond("10.244.0.1", netnsPath("node-1"), ["x/a", "x/b", "y/b"]), beyond("10.244.1.1", netnsPath("node-2"), ["x/c", "y/a", "z/a"])];
for (const port of [8080, 8081]) await serve(outside.netns, outside.ip, port, "outside");
await serveUdp(outside.netns, outside.ip, 8080, "outside");

/** A Service for each pod, with only that pod behind it: port 80 leads to 8080. */
const serviceIp = (index: number): string => `10.96.1.${index + 1}`;
for (const [index, { namespace, pod = "", ip }] of dwellers.entries()) {
  const name = `svc-${pod.replace("/", "-")}`;
  const spec = { clusterIP: serviceIp(index), clusterIPs: [serviceIp(index)], ports: [{ port: 80, protocol: "TCP", targetPort: 8080 }] };
  await lab.set(
    { apiVersion: "v1", kind: "Service", metadata: { name, namespace }, spec } as KubeObject,
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `${name}-1`, namespace, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "", port: 8080, protocol: "TCP" }],
      endpoints: [{ addresses: [ip], conditions: { ready: true } }],
    } as KubeObject,
  );
}
after(() => host.clock.after(500, () => process.exit()).unref());

interface Probe {
  readonly from: Dweller;
  readonly to: Dweller;
  readonly protocol: "TCP" | "UDP";
  /** Of the pod. */
  readonly port: number;
  readonly address: string;
  readonly addressPort: number;
}

const probes: readonly Probe[] = [...dwellers, ...nodes].flatMap((from) => [
  ...[...dwellers, ...(from.pod === undefined ? [] : [outside])].flatMap((to) =>
    (
      [
        ["TCP", 8080],
        ["TCP", 8081],
        ["UDP", 8080],
      ] as const
    ).map(([protocol, port]): Probe => ({ from, to, protocol, port, address: to.ip, addressPort: port })),
  ),
  ...(from.pod === undefined ? [] : dwellers).map((to, index): Probe => ({
    from,
    to,
    protocol: "TCP",
    port: 8080,
    address: serviceIp(index),
    addressPort: 80,
  })),
]);

async function passes({ from, protocol, address, addressPort }: Probe, timeoutMs: number): Promise<boolean> {
  const answer = protocol === "TCP" ? await call(from.netns, address, addressPort, timeoutMs) : await callUdp(from.netns, address, addressPort, { timeoutMs });
  return answer !== "timeout";
}

/** `labels`: that pods have now, by "namespace/name". */
async function disagreements(state: State, labels: ReadonlyMap<string | undefined, Dweller["labels"]> = new Map()): Promise<string[]> {
  const now = (place: Dweller): Place => ({ ...place, labels: labels.get(place.pod) ?? place.labels });
  const found = await Promise.all(
    probes.map(async (probe) => {
      const want = isAllowed(state, now(probe.from), now(probe.to), probe);
      const got = (await passes(probe, SILENCE_MS)) || (want && (await passes(probe, PATIENCE_MS)));
      const words = `${probe.from.pod ?? probe.from.ip} to ${probe.to.pod ?? "outside"} at ${probe.address}:${probe.addressPort} ${probe.protocol}`;
      return got === want ? [] : [`${words} ${got ? "passes" : "does not pass"}`];
    }),
  );
  return found.flat();
}

test("without policies everything passes", async () => assert.deepEqual(await disagreements({ policies: [] }), []));

test(`${CASES} sets of random policies are enforced as they are written (WEFT_TEST_SEED=${seed})`, async () => {
  const draw = drawFrom(seed);
  for (let i = 0; i < CASES; i += 1) {
    const policies = drawPolicies(draw);
    await lab.set(...policies.map(policyObject));
    // Connections of the round before may go on; these must not be taken for them.
    for (const node of ["node-1", "node-2"]) await run(netnsPath(node), "conntrack", "-F");
    assert.deepEqual(await disagreements({ policies }), [], `seed ${seed}, case ${i}: ${JSON.stringify(policies, undefined, 1)}`);
    for (const { namespace, name } of policies) await lab.remove("NetworkPolicy", `${namespace}/${name}`);
  }
});

test(`changes of policies and labels count for pods that live (WEFT_TEST_SEED=${seed})`, async () => {
  const draw = drawFrom(seed + 1);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(draw() * list.length)] as T;
  const policies = new Map(drawPolicies(draw).map((policy) => [`${policy.namespace}/${policy.name}`, policy]));
  await lab.set(...[...policies.values()].map(policyObject));
  const labels = new Map<string | undefined, Dweller["labels"]>();
  let spaces = namespaceLabels;
  for (let i = 0; i < CASES; i += 1) {
    const change = pick(["label a pod", "label a namespace", "update a policy", "delete a policy"] as const);
    const one = pick(drawPolicies(draw));
    const key = `${one.namespace}/${one.name}`;
    if (change === "label a pod") {
      const pod = pick(dwellers);
      const drawn = drawLabels(draw);
      labels.set(pod.pod, drawn);
      await lab.set(pod.relabelled(drawn));
    } else if (change === "label a namespace") {
      const name = pick(Object.keys(spaces));
      spaces = { ...spaces, [name]: { "kubernetes.io/metadata.name": name, ...(draw() < 0.5 ? { team: pick(["red", "blue"]) } : {}) } };
      await setNamespaces(spaces);
    } else if (change === "update a policy") {
      policies.set(key, one);
      await lab.set(policyObject(one));
    } else {
      policies.delete(key);
      await lab.remove("NetworkPolicy", key);
    }
    for (const node of ["node-1", "node-2"]) await run(netnsPath(node), "conntrack", "-F");
    const state = { policies: [...policies.values()], labels: spaces };
    assert.deepEqual(
      await disagreements(state, labels),
      [],
      `seed ${seed}, change ${i}: ${change}: ${JSON.stringify({ state, labels: [...labels] }, undefined, 1)}`,
    );
  }
});
