import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { KindId } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import type { World } from "#model/world.ts";
import { parseTables } from "#wire/nft/parse.ts";
import { writeTable } from "#wire/nft/write.ts";
import { NodeCompiler } from "./node-compiler.ts";
import { DEFAULT_SETTINGS, type LocalPod } from "./settings.ts";
import { planOfKept } from "./test-kept.ts";

const question = { node: "node-1", settings: DEFAULT_SETTINGS };
const small = fc.integer({ min: 1, max: 3 });
const namespace = fc.constantFrom("default", "prod");
const labels = fc.record({ app: fc.constantFrom("a", "b") });
const selector = fc.oneof(
  fc.constant({}),
  labels.map((matchLabels) => ({ matchLabels })),
  fc.constant({ matchExpressions: [{ key: "app", operator: "NotIn", values: ["a"] }] }),
);
const kube = (kind: string, meta: object, rest: object) => ({ apiVersion: "v1", kind, metadata: meta, ...rest }) as KubeObject;
const ports = fc.array(
  fc.oneof(
    fc.record({ port: fc.constantFrom(80, 443, "http"), protocol: fc.constantFrom("TCP", "UDP", "SCTP") }),
    fc.record({ port: fc.constant(8000), endPort: fc.integer({ min: 8000, max: 8100 }) }),
    fc.constant({}),
  ),
  { maxLength: 3 },
);
const peers = fc.array(
  fc.oneof(
    selector.map((podSelector) => ({ podSelector })),
    selector.map((namespaceSelector) => ({ namespaceSelector, podSelector: {} })),
    fc.constant({ ipBlock: { cidr: "10.0.0.0/8", except: ["10.244.0.0/24", "10.244.1.0/24"] } }),
  ),
  { maxLength: 2 },
);
const objects: fc.Arbitrary<KubeObject> = fc.oneof(
  fc
    .tuple(small, fc.boolean())
    .map(([n, ready]) =>
      kube(
        "Node",
        { name: `node-${n}` },
        { spec: { podCIDR: `10.244.${n}.0/24` }, ...(ready ? { status: { addresses: [{ type: "InternalIP", address: `192.168.99.${9 + n}` }] } } : {}) },
      ),
    ),
  fc.tuple(namespace, labels).map(([name, each]) => kube("Namespace", { name, labels: each }, {})),
  fc.tuple(small, namespace, labels, small, fc.boolean()).map(([n, ns, each, on, proxy]) =>
    kube(
      "Pod",
      { name: `pod-${n}`, namespace: ns, uid: `${ns}-${n}`, labels: each },
      {
        spec: { nodeName: `node-${on}`, containers: [{ name: proxy ? "istio-proxy" : "app", ports: [{ name: "http", containerPort: 8080 }] }] },
        status: { podIP: `10.244.${on}.${n + 10}`, phase: "Running" },
      },
    ),
  ),
  fc.tuple(small, namespace, fc.constantFrom("ClusterIP", "LoadBalancer", "ExternalName", "None"), small).map(([n, ns, type, port]) =>
    kube(
      "Service",
      { name: `svc-${n}`, namespace: ns },
      {
        spec: {
          type: type === "None" ? "ClusterIP" : type,
          externalName: "example.org",
          clusterIP: type === "None" ? "None" : `10.96.${ns.length}.${n}`,
          ports: [
            { name: "http", port: 79 + port },
            { name: "dns", port: 53, protocol: "UDP" },
          ],
        },
        status: { loadBalancer: { ingress: [{ ip: `192.168.99.24${n}` }] } },
      },
    ),
  ),
  fc.tuple(small, namespace, fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }), fc.boolean()).map(([n, ns, ends, ready]) =>
    kube(
      "EndpointSlice",
      { name: `slice-${n}`, namespace: ns, labels: { "kubernetes.io/service-name": `svc-${n}` } },
      {
        addressType: "IPv4",
        ports: [
          { name: "http", port: 8080 },
          { name: "dns", port: 5353, protocol: "UDP" },
        ],
        endpoints: ends.map((end) => ({ addresses: [`10.244.1.${end + 10}`], conditions: { ready, serving: ready || end > 2, terminating: !ready } })),
      },
    ),
  ),
  fc
    .tuple(small, namespace, selector, ports, peers, fc.constantFrom(["Ingress"], ["Egress"], ["Ingress", "Egress"]))
    .map(([n, ns, podSelector, some, who, policyTypes]) =>
      kube(
        "NetworkPolicy",
        { name: n === 3 ? `policy-${"x".repeat(200)}` : `policy-${n}`, namespace: ns },
        { spec: { podSelector, policyTypes, ingress: [{ ports: some, from: who }], egress: [{ ports: some, to: who }, {}] } },
      ),
    ),
);
type Step =
  | { readonly kind: "set"; readonly object: KubeObject }
  | { readonly kind: "delete"; readonly object: KubeObject }
  | { readonly kind: "wire"; readonly pod: LocalPod }
  | { readonly kind: "unwire"; readonly pod: LocalPod };
const wired: fc.Arbitrary<LocalPod> = fc
  .tuple(small, namespace)
  .map(([n, ns]) => ({ uid: `${ns}-${n}`, namespace: ns, name: `pod-${n}`, ip: `10.244.1.${n + 20 + ns.length}`, netns: `/run/netns/${n}` }));
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: objects.map((object): Step => ({ kind: "set", object })) },
  { weight: 2, arbitrary: objects.map((object): Step => ({ kind: "delete", object })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom("wire" as const, "unwire" as const), wired)
      .map(([kind, pod]): Step => (kind === "wire" ? { kind, pod } : { kind, pod })),
  },
);

class Twin {
  readonly objects = new Map<string, KubeObject>();
  readonly pods = new Map<string, LocalPod>();

  take(step: Step): void {
    if (step.kind === "wire") this.pods.set(step.pod.uid, step.pod);
    else if (step.kind === "unwire") this.pods.delete(step.pod.uid);
    else if (step.kind === "set") this.objects.set(`${step.object.kind} ${objectKey(step.object)}`, step.object);
    else this.objects.delete(`${step.object.kind} ${objectKey(step.object)}`);
  }

  plan() {
    const world = Object.fromEntries(
      [...Map.groupBy(this.objects.values(), ({ kind }) => kind)].map(([kind, list]) => [kind, new Map(list.map((each) => [objectKey(each), each]))]),
    ) as World;
    return planOfKept(world, question, [...this.pods.values()]);
  }
}

function run(compiler: NodeCompiler, step: Step): void {
  if (step.kind === "wire") compiler.wire(step.pod);
  else if (step.kind === "unwire") compiler.unwire(step.pod.uid);
  else compiler.apply({ kind: step.object.kind as KindId, key: objectKey(step.object), ...(step.kind === "set" ? { object: step.object } : {}) });
}

test("after any history the incremental plan equals the one from scratch, byte for byte", () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 30 }), (history) => {
      const compiler = new NodeCompiler(question);
      const twin = new Twin();
      for (const step of history) {
        run(compiler, step);
        twin.take(step);
        assert.equal(JSON.stringify(compiler.plan()), JSON.stringify(twin.plan()));
      }
    }),
    { numRuns: 150 },
  );
});

test("what is emitted is read back, names only what exists, and fits the kernel's limits", () => {
  fc.assert(
    fc.property(fc.array(steps, { minLength: 5, maxLength: 40 }), (history) => {
      const twin = new Twin();
      history.forEach((step) => twin.take(step));
      const plan = twin.plan();
      for (const table of [...plan.tables, ...plan.pods.flatMap((pod) => pod.inside.tables)]) {
        assert.deepEqual(parseTables(writeTable(table)), [table]);
        for (const { key } of table.maps.flatMap((map) => map.elements)) assert.ok(key.length > 0);
        const comments = [...table.sets, ...table.maps]
          .flatMap(({ elements }) => elements.map(({ comment }) => comment))
          .concat(table.chains.flatMap(({ rules }) => rules.map(({ comment }) => comment)));
        for (const comment of comments) {
          assert.ok(Buffer.byteLength(comment ?? "") <= 127);
          if (comment?.startsWith("note-")) assert.ok(plan.notes[comment] !== undefined, `nobody knows what ${comment} says`);
        }
      }
    }),
    { numRuns: 150 },
  );
});

test("the order in which objects come does not matter", () => {
  fc.assert(
    fc.property(fc.uniqueArray(objects, { selector: (each) => `${each.kind} ${objectKey(each)}`, maxLength: 15 }), (list) => {
      const plan = (order: KubeObject[]) => {
        const compiler = new NodeCompiler(question);
        for (const object of order) run(compiler, { kind: "set", object });
        return JSON.stringify(compiler.plan());
      };
      assert.equal(plan(list), plan(list.toReversed()));
    }),
    { numRuns: 50 },
  );
});

describe("what is derived anew", () => {
  const service = (n: number, port: number) =>
    kube("Service", { name: `svc-${n}`, namespace: "default" }, { spec: { clusterIP: `10.96.0.${n}`, ports: [{ port }] } });
  const slice = (n: number, ready: boolean) =>
    kube(
      "EndpointSlice",
      { name: `svc-${n}-1`, namespace: "default", labels: { "kubernetes.io/service-name": `svc-${n}` } },
      { addressType: "IPv4", ports: [{ port: 8080 }], endpoints: [{ addresses: [`10.244.1.${n}`], conditions: { ready } }] },
    );
  const cases = [
    {
      name: "a Service's port: that Service, and the zone, which has its SRV record",
      object: service(7, 81),
      want: { "service rules": 1, "service names": 1, zone: 1, "cluster facts": 1, "node plan": 1 },
    },
    { name: "an endpoint: its Service, and no names", object: slice(7, false), want: { "service rules": 1, "service names": 1, "node plan": 1 } },
  ];
  for (const { name, object, want } of cases) {
    test(`by a change of ${name}`, () => {
      const compiler = new NodeCompiler(question);
      for (let n = 1; n <= 50; n += 1) for (const each of [service(n, 80), slice(n, true)]) run(compiler, { kind: "set", object: each });
      compiler.plan();
      const before = new Map(compiler.recomputed());
      run(compiler, { kind: "set", object });
      compiler.plan();
      const changed = [...compiler.recomputed()]
        .map(([derivation, count]) => [derivation, count - (before.get(derivation) ?? 0)])
        .filter(([, count]) => count !== 0);
      assert.deepEqual(Object.fromEntries(changed), want);
    });
  }
});
