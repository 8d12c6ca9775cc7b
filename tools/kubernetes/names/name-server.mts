/**
 * A name server for a cluster that has none: Kubernetes leaves names to an add-on, and the tests of the mesh need somebody else's.
 * It knows Services, those without an address by their endpoints (RFC 1035 4.1: one question, A records), and asks the API server for
 * them once a second.
 */
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { request } from "node:https";

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const ZONE = ".svc.cluster.local";
const [A, NXDOMAIN, TTL_SECONDS] = [1, 3, 5];

interface Service {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: { readonly clusterIP?: string };
}

interface EndpointSlice {
  readonly metadata: { readonly namespace: string; readonly labels?: Readonly<Record<string, string>> };
  readonly endpoints?: readonly { readonly addresses: readonly string[]; readonly conditions?: { readonly ready?: boolean } }[] | null;
}

let addresses: ReadonlyMap<string, readonly string[]> = new Map();

function list<T>(path: string): Promise<readonly T[]> {
  const headers = { authorization: `Bearer ${readFileSync(`${ACCOUNT}/token`, "utf8")}` };
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, path, headers, ca: readFileSync(`${ACCOUNT}/ca.crt`), timeout: 5000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => (response.statusCode === 200 ? resolve((JSON.parse(body) as { items: readonly T[] }).items) : reject(new Error(body))));
    });
    asked.on("error", reject).on("timeout", () => asked.destroy(new Error("no answer")));
    asked.end();
  });
}

async function ask(): Promise<ReadonlyMap<string, readonly string[]>> {
  const [services, slices] = await Promise.all([list<Service>("/api/v1/services"), list<EndpointSlice>("/apis/discovery.k8s.io/v1/endpointslices")]);
  const behind = Map.groupBy(slices, ({ metadata }) => `${metadata.labels?.["kubernetes.io/service-name"] ?? ""}.${metadata.namespace}${ZONE}`);
  return new Map(
    services.map(({ metadata, spec: { clusterIP = "" } }) => {
      const name = `${metadata.name}.${metadata.namespace}${ZONE}`;
      if (clusterIP !== "None") return [name, [clusterIP].filter((address) => address !== "")];
      const ready = (behind.get(name) ?? []).flatMap(({ endpoints }) => (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false));
      return [name, ready.flatMap((endpoint) => endpoint.addresses.slice(0, 1))];
    }),
  );
}

async function follow(): Promise<never> {
  for (;;) {
    addresses = await ask().catch((error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      return addresses;
    });
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Header of 12 bytes, then one question: its name as labels, type, class. */
function answer(query: Buffer): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(12, at + 5);
  const known = addresses.get(labels.join(".").toLowerCase());
  const answers = type === A ? (known ?? []).filter((address) => /^[0-9.]+$/.test(address)) : [];
  const header = Buffer.from(query.subarray(0, 12));
  // QR, AA, and what the client asked for; no authority, no additional records.
  header.writeUInt16BE(0x8480 | (header.readUInt16BE(2) & 0x0100) | (known === undefined ? NXDOMAIN : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  header.writeUInt32BE(0, 8);
  return Buffer.concat([header, question, ...answers.map(recordOf)]);
}

function recordOf(address: string): Buffer {
  const record = Buffer.alloc(16);
  // The name is the one at offset 12.
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(A, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(TTL_SECONDS, 6);
  record.writeUInt16BE(4, 10);
  record.set(address.split(".").map(Number), 12);
  return record;
}

const socket = createSocket("udp4");
socket.on("message", (query, from) => {
  try {
    socket.send(answer(query), from.port, from.address);
  } catch (error) {
    process.stderr.write(`${from.address}: ${String(error)}\n`);
  }
});
socket.bind(5353, () => process.stdout.write("answers on 5353\n"));
process.on("SIGTERM", () => process.exit());
await follow();
