/** Istio's standard metrics: names and labels as its documentation lists them (istio.io, "Istio Standard Metrics"). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { NodeSchema } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { IstioMetrics } from "./istio-metrics.ts";
import type { MeasuredRequest } from "./measured.ts";
import { Stats } from "./stats.ts";

const ISTIO_LABELS = (
  "reporter source_workload source_workload_namespace source_principal source_app source_version source_canonical_service source_canonical_revision source_cluster " +
  "destination_workload destination_workload_namespace destination_principal destination_app destination_version destination_canonical_service " +
  "destination_canonical_revision destination_cluster destination_service destination_service_name destination_service_namespace " +
  "request_protocol response_code grpc_response_status response_flags connection_security_policy"
).split(" ");

const node = create(NodeSchema, {
  id: "sidecar~10.0.0.1~web-7b5f9c8d4-x2x4k.shop~shop.svc.cluster.local",
  metadata: { NAMESPACE: "shop", NAME: "web-7b5f9c8d4-x2x4k", SERVICE_ACCOUNT: "web", LABELS: { app: "web", version: "v1" } },
});

const outbound: MeasuredRequest = {
  direction: "outbound",
  flags: "",
  bytesReceived: 1,
  bytesSent: 2,
  authority: "api:8080",
  clusterName: "outbound|8080||api.shop.svc.cluster.local",
  clusterMessage: undefined,
  endpointMetadata: "api-v1;shop;api;v1;Kubernetes",
  upstreamPrincipal: "spiffe://cluster.local/ns/shop/sa/api",
  peer: undefined,
  status: 200,
  durationMs: 3,
};

/** Labels of the only series of istio_requests_total. */
function labelsOf(...requests: readonly MeasuredRequest[]): Readonly<Record<string, string>> {
  const stats = new Stats();
  const metrics = new IstioMetrics(stats, node);
  for (const request of requests) metrics.record(request);
  const [series = "", ...others] = stats
    .prometheus({ matches: () => true, usedOnly: false })
    .split("\n")
    .filter((line) => line.startsWith("istio_requests_total{"));
  assert.deepEqual(others, []);
  return Object.fromEntries([...series.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]));
}

test("a client's request has Istio's labels, and no others", () => {
  const labels = labelsOf(outbound);
  assert.deepEqual(Object.keys(labels).toSorted(), ISTIO_LABELS.toSorted());
  assert.equal(labels["reporter"], "source");
  assert.equal(labels["source_workload"], "web");
  assert.equal(labels["destination_workload"], "api-v1");
  assert.equal(labels["destination_service"], "api.shop.svc.cluster.local");
  assert.equal(labels["destination_service_name"], "api");
  assert.equal(labels["destination_service_namespace"], "shop");
  assert.equal(labels["destination_principal"], "spiffe://cluster.local/ns/shop/sa/api");
  assert.equal(labels["response_flags"], "-");
});

test("a server's request names the client that its certificate proves", () => {
  const peer = { uris: ["spiffe://cluster.local/ns/other/sa/client"], dnsNames: [], subject: "" };
  const labels = labelsOf({ ...outbound, direction: "inbound", clusterName: "inbound|8080||", authority: "web.shop:8080", endpointMetadata: undefined, peer });
  assert.equal(labels["reporter"], "destination");
  assert.equal(labels["source_principal"], "spiffe://cluster.local/ns/other/sa/client");
  assert.equal(labels["source_workload_namespace"], "other");
  assert.equal(labels["destination_workload"], "web");
  assert.equal(labels["connection_security_policy"], "mutual_tls");
});

test("an address is no service, and the proxy's own pages are no traffic", () => {
  const labels = labelsOf({ ...outbound, clusterName: "PassthroughCluster", authority: "10.0.0.9:80" }, { ...outbound, direction: "unspecified" });
  assert.equal(labels["destination_service"], "10.0.0.9");
  assert.equal(labels["destination_service_namespace"], "unknown");
});
