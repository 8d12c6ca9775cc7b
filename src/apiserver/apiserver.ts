/**
 * The embedded API server: Kubernetes REST over TLS for the kinds that Weft knows, as far as kubectl, Weft's own programs
 * and usual controllers need it. Everything is in memory; what is written is in the log first (store.ts), and watchers
 * follow from there. Requests: handler.ts, from the URL to the answer; writes: registry.ts; what follows deletions:
 * garbage-collector.ts. Logs and exec are passed to the pod's node (node-proxy.ts).
 *
 * Not here: controllers other than garbage collection and default ServiceAccounts, tokens and RBAC objects (client
 * certificates decide: authorization.ts), protobuf, HTTP/2, kinds that users define.
 */
import type { Host } from "#host/host.ts";
import type { HttpServeOptions } from "#host/http.ts";
import type { StreamAddress } from "#host/net.ts";
import { KINDS, type KindId } from "#model/kinds.ts";
import type { WorldReader } from "#model/world.ts";
import { podServiceAccount, type Admission } from "./admission.ts";
import { serviceAllocator } from "./allocate.ts";
import { forgetWhatRan } from "./before-anything-runs.ts";
import { GarbageCollector } from "./garbage-collector.ts";
import { Handler } from "./handler.ts";
import { Lists } from "./listing.ts";
import { NodeProxy, type NodeTls } from "./node-proxy.ts";
import { Registry, type Call } from "./registry.ts";
import { Store } from "./store.ts";
import { storedWorld } from "./stored-world.ts";
import { Watches } from "./watch.ts";

export type { Admission } from "./admission.ts";

export interface ApiServerOptions {
  readonly host: Pick<Host, "http" | "storage" | "clock" | "random">;
  /** Port 0: any free one; see ApiServer.address. */
  readonly address: StreamAddress;
  /** Also listen there, with the same certificate. */
  readonly moreAddresses?: readonly StreamAddress[];
  /** Absent only in simulations of the whole cluster without certificates. `clientCa` signs those who may enter. */
  readonly tls: Required<NonNullable<HttpServeOptions["tls"]>>;
  readonly storagePath: string;
  /** In order; each sees what the one before made. */
  readonly admission?: readonly Admission[];
  /** The server's own certificate towards nodes (logs, exec, nodes/proxy). */
  readonly nodeClientTls?: NodeTls;
  readonly serviceCidr?: string;
  /** Where `kubernetes.default` leads; absent: the Service is not made. */
  readonly endpoint?: { readonly ip: string; readonly port: number };
  /** The whole cluster starts, with these nodes, and not this server alone: what is stored as running does not run. */
  readonly startsWithNodes?: readonly string[];
  /** A request failed for a reason that is ours. */
  readonly onBug?: (error: unknown, what: string) => void;
}

export interface ApiServer {
  readonly address: StreamAddress;
  /** What is stored now; followers of watches see it a moment later. */
  readonly world: WorldReader;
  stop(): Promise<void>;
}

export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { host, serviceCidr = "10.96.0.0/16" } = options;
  const store = new Store(await host.storage.open(options.storagePath));
  const registry = new Registry({
    store,
    clock: host.clock,
    random: host.random,
    admission: [podServiceAccount, ...(options.admission ?? [])],
    allocator: serviceAllocator(store, serviceCidr),
  });
  ensureSystemObjects(registry, options.endpoint, serviceCidr);
  if (options.startsWithNodes !== undefined) forgetWhatRan(store, host.clock, options.startsWithNodes);
  const collector = new GarbageCollector(registry, host.clock);
  const watches = new Watches(store, host.clock);
  const handler = new Handler({
    registry,
    watches,
    lists: new Lists(store),
    nodes: new NodeProxy({ http: host.http, store, tls: options.nodeClientTls }),
    clock: host.clock,
    serverAddress: "ip" in options.address ? `${options.address.ip}:${options.address.port}` : "",
    onBug: options.onBug ?? (() => undefined),
  });
  const serve = (address: StreamAddress) =>
    host.http.serve(
      { address, tls: options.tls },
      { onRequest: (exchange) => void handler.onRequest(exchange), onUpgrade: (upgrade) => handler.onUpgrade(upgrade) },
    );
  const servers = await Promise.all([options.address, ...(options.moreAddresses ?? [])].map(serve));
  return {
    address: servers[0]?.address ?? options.address,
    world: storedWorld(store),
    async stop() {
      collector.stop();
      watches.stop();
      await Promise.all(servers.map((server) => server.close()));
      store.close();
    },
  };
}

/** What every cluster has from its first moment. */
function ensureSystemObjects(registry: Registry, endpoint: ApiServerOptions["endpoint"], serviceCidr: string): void {
  const call: Call = {
    user: { name: "system:apiserver", groups: ["system:masters"] },
    fieldManager: "weft-apiserver",
    fieldValidation: "Ignore",
    dryRun: false,
    warn: () => undefined,
  };
  const put = (kind: KindId, namespace: string | undefined, object: { readonly metadata: { readonly name: string } }) => {
    const place = { info: KINDS[kind], version: KINDS[kind].versions[0] ?? "v1", namespace };
    const key = namespace === undefined ? object.metadata.name : `${namespace}/${object.metadata.name}`;
    const old = registry.store.get(kind, key);
    if (old === undefined) registry.create(place, object, call);
    else if (kind === "EndpointSlice") registry.update(place, object.metadata.name, { ...old, ...object, metadata: old.metadata }, call);
  };
  for (const name of ["default", "kube-system", "kube-public", "kube-node-lease"]) put("Namespace", undefined, { metadata: { name } });
  if (endpoint === undefined) return;
  const labels = { component: "apiserver", provider: "kubernetes" };
  const clusterIP = serviceCidr.replace(/\.\d+\/\d+$/, ".1");
  put("Service", "default", {
    metadata: { name: "kubernetes", labels },
    spec: { clusterIP, ports: [{ name: "https", port: 443, targetPort: endpoint.port }] },
  } as { metadata: { name: string } });
  put("EndpointSlice", "default", {
    metadata: { name: "kubernetes", labels: { "kubernetes.io/service-name": "kubernetes" } },
    addressType: endpoint.ip.includes(":") ? "IPv6" : "IPv4",
    endpoints: [{ addresses: [endpoint.ip], conditions: { ready: true } }],
    ports: [{ name: "https", port: endpoint.port, protocol: "TCP" }],
  } as { metadata: { name: string } });
}
