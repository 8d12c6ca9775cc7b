import assert from "node:assert/strict";
import { test } from "node:test";
import { parseProtobufBody } from "./protobuf.ts";
import { ApiError } from "./status.ts";

function varint(value: number): Buffer {
  return value < 128 ? Buffer.from([value]) : Buffer.concat([Buffer.from([(value & 0x7f) | 0x80]), varint(value >>> 7)]);
}

const field = (number: number, value: string | Buffer | number): Buffer => {
  if (typeof value === "number") return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
};
const join = (...parts: readonly Buffer[]) => Buffer.concat(parts);
const envelope = (apiVersion: string, kind: string, raw: Buffer) =>
  join(Buffer.from("k8s\0"), field(1, join(field(1, apiVersion), field(2, kind))), field(2, raw));

// As client-go writes `kubectl create deployment web --image=web:1 --replicas=0`.
const container = join(field(1, "web"), field(2, "web:1"), field(5, ""), field(8, ""), field(14, ""), field(16, 0));
const podSpec = join(field(2, container), field(3, ""), field(6, ""), field(11, 0), field(16, ""));
const labels = join(field(1, "app"), field(2, "web"));
const spec = join(
  field(1, 0),
  field(2, field(1, labels)),
  field(3, join(field(1, field(11, labels)), field(2, podSpec))),
  field(4, field(1, "")),
  field(5, 0),
  field(7, 0),
);
const deployment = envelope(
  "apps/v1",
  "Deployment",
  join(field(1, join(field(1, "web"), field(2, ""), field(8, ""))), field(2, spec), field(3, join(field(1, 0)))),
);

test("a Deployment is read: what nobody set is absent, and a pointer's zero is a value", () => {
  assert.deepEqual(parseProtobufBody(deployment), {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web" },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "web:1", resources: {} }] } },
      strategy: {},
    },
    status: {},
  });
});

test("secrets become base64, int-or-strings either", () => {
  const secret = envelope("v1", "Secret", join(field(1, field(1, "s")), field(2, join(field(1, "k"), field(2, Buffer.from([0, 255])))), field(3, "Opaque")));
  assert.deepEqual(parseProtobufBody(secret)["data"], { k: "AP8=" });
  const port = (target: Buffer) => field(1, join(field(1, "http"), field(2, "TCP"), field(3, 80), field(4, target), field(5, 0)));
  const service = envelope(
    "v1",
    "Service",
    join(field(1, field(1, "s")), field(2, join(port(join(field(1, 1), field(2, 0), field(3, "web"))), port(join(field(1, 0), field(2, 81), field(3, "")))))),
  );
  assert.deepEqual((parseProtobufBody(service)["spec"] as { ports: unknown }).ports, [
    { name: "http", protocol: "TCP", port: 80, targetPort: "web" },
    { name: "http", protocol: "TCP", port: 80, targetPort: 81 },
  ]);
});

test("every truncation is refused in words or reads as a shorter message, and never throws anything else", () => {
  for (let length = 0; length < deployment.length; length++) {
    try {
      parseProtobufBody(deployment.subarray(0, length));
    } catch (error) {
      assert.ok(error instanceof ApiError, `${length}: ${String(error)}`);
    }
  }
});

test("kinds that have no protobuf are refused by name", () => {
  assert.throws(
    () => parseProtobufBody(envelope("networking.istio.io/v1", "VirtualService", Buffer.alloc(0))),
    /VirtualService of networking\.istio\.io\/v1 is not read from protobuf/,
  );
});
