import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Pod, Service } from "#model/core.ts";
import { desiredSlices } from "./slices.ts";

const service = (spec: Partial<Service["spec"]>): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace: "default", uid: "s" },
  spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: "web" }], ...spec },
});

function pod(
  name: string,
  facts: { ip?: string; ready?: boolean; deleting?: boolean; port?: number; phase?: "Running" | "Succeeded"; spec?: Partial<Pod["spec"]> } = {},
): Pod {
  const { ip = "10.0.0.1", ready = true, deleting = false, port = 8080, phase = "Running" } = facts;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", uid: name, labels: { app: "web" }, ...(deleting ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}) },
    spec: { nodeName: "node-1", containers: [{ name: "web", ports: [{ name: "web", containerPort: port }] }], ...facts.spec },
    status: { phase, podIP: ip, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

/** "10.0.0.1 ready serving | http/TCP/8080". */
function summary(of: Service, pods: Pod[]): string[] | undefined {
  return desiredSlices(of, pods)?.map((slice) => {
    const endpoints = (slice.endpoints ?? []).map(({ addresses, conditions = {}, hostname }) =>
      [
        ...(addresses ?? []),
        ...Object.entries(conditions).flatMap(([name, value]) => (value ? [name] : [])),
        ...(hostname === undefined ? [] : [`as ${hostname}`]),
      ].join(" "),
    );
    return `${endpoints.join(", ")} | ${(slice.ports ?? []).map((port) => `${port.name}/${port.protocol}/${port.port}`).join(", ")}`;
  });
}

describe("endpoint slices", () => {
  const cases: { name: string; service: Service; pods: Pod[]; want: string[] | undefined }[] = [
    {
      name: "ready, unready and terminating pods are told apart",
      service: service({}),
      pods: [pod("a"), pod("b", { ip: "10.0.0.2", ready: false }), pod("c", { ip: "10.0.0.3", deleting: true })],
      want: ["10.0.0.1 ready serving, 10.0.0.2, 10.0.0.3 serving terminating | http/TCP/8080"],
    },
    {
      name: "pods without address and finished ones are left out",
      service: service({}),
      pods: [pod("a", { ip: "" }), pod("b", { phase: "Succeeded" })],
      want: [" | "],
    },
    {
      name: "a named port that differs makes two slices",
      service: service({}),
      pods: [pod("a"), pod("b", { ip: "10.0.0.2", port: 9090 })],
      want: ["10.0.0.1 ready serving | http/TCP/8080", "10.0.0.2 ready serving | http/TCP/9090"],
    },
    { name: "without targetPort the port itself", service: service({ ports: [{ port: 80 }] }), pods: [pod("a")], want: ["10.0.0.1 ready serving | /TCP/80"] },
    {
      name: "publishNotReadyAddresses",
      service: service({ publishNotReadyAddresses: true }),
      pods: [pod("a", { ready: false })],
      want: ["10.0.0.1 ready | http/TCP/8080"],
    },
    {
      name: "host names of a headless service's pods",
      service: service({ clusterIP: "None" }),
      pods: [pod("a", { spec: { hostname: "db-0", subdomain: "web" } })],
      want: ["10.0.0.1 ready serving as db-0 | http/TCP/8080"],
    },
    { name: "a service without selector is left to others", service: service({ selector: {} }), pods: [pod("a")], want: undefined },
    { name: "an ExternalName has none", service: service({ type: "ExternalName" }), pods: [pod("a")], want: undefined },
  ];
  for (const { name, service: of, pods, want } of cases) it(name, () => assert.deepEqual(summary(of, pods), want));

  it("one slice has at most 100 endpoints, under names that stay", () => {
    const pods = Array.from({ length: 250 }, (_, i) => pod(`p${String(i).padStart(3, "0")}`, { ip: `10.0.${i >> 8}.${i & 255}` }));
    const slices = desiredSlices(service({}), pods) ?? [];
    assert.deepEqual(
      slices.map((slice) => slice.endpoints?.length),
      [100, 100, 50],
    );
    assert.deepEqual(
      slices.map((slice) => slice.metadata.name),
      (desiredSlices(service({}), pods.toReversed()) ?? []).map((slice) => slice.metadata.name),
    );
    assert.equal(new Set(slices.map((slice) => slice.metadata.name)).size, 3);
  });
});
