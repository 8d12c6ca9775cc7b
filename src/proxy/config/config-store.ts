/**
 * The configuration at work: clusters, listeners, routes, endpoints and secrets, from the bootstrap and from xDS. Each
 * resource is compiled before it replaces the one before, so that a bad one changes nothing; what is open goes on.
 */
import { type Message, toBinary, type DescMessage } from "@bufbuild/protobuf";
import type { BindConfig } from "#wire/envoy/gen/envoy/config/core/v3/address_pb.ts";
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { ClusterLoadAssignment } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ClusterLoadAssignmentSchema } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { type Listener, ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { type RouteConfiguration, RouteConfigurationSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { type Secret, SecretSchema } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { parseIp } from "#lib/ip.ts";
import type { SocketAddress } from "#host/net.ts";
import type { RoutesHolder } from "#proxy/http/connection-manager.ts";
import { compileRoutes } from "#proxy/http/route-runtime.ts";
import { compileListener } from "#proxy/listen/compile-listener.ts";
import { ListenerRuntime } from "#proxy/listen/listener.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import { ClusterRuntime } from "#proxy/upstream/cluster.ts";
import { ClusterStats } from "#proxy/upstream/cluster-stats.ts";
import { compileAssignment, compileCluster, compileTransports, type TransportChoice } from "#proxy/upstream/compile-cluster.ts";
import type { Names } from "#proxy/upstream/names.ts";
import { refuseUnsupported } from "./refuse-unsupported.ts";

/** One resource as it was accepted, for /config_dump and to see that nothing changed. */
export interface Accepted<M> {
  readonly message: M;
  readonly bytes: Uint8Array;
  readonly version: string;
  readonly updatedMs: number;
  /** From the bootstrap. */
  readonly isStatic: boolean;
}

interface ClusterEntry {
  readonly runtime: ClusterRuntime;
  readonly transports: readonly TransportChoice[];
  readonly assignment: ClusterLoadAssignment | undefined;
  readonly byLocalityWeight: boolean;
}

export interface StoreOptions {
  readonly machine: ProxyMachine;
  readonly clusters: Map<string, ClusterRuntime>;
  readonly names: Names;
  readonly bind: BindConfig | undefined;
  /** Clusters that carry configuration only. */
  readonly grpcClusters: ReadonlySet<string>;
  readonly isSidecar: boolean;
}

export class ConfigStore {
  readonly #options: StoreOptions;
  readonly #machine: ProxyMachine;
  readonly #entries = new Map<string, ClusterEntry>();
  readonly clusters = new Map<string, Accepted<Cluster>>();
  readonly listeners = new Map<string, Accepted<Listener>>();
  readonly routes = new Map<string, Accepted<RouteConfiguration>>();
  readonly endpoints = new Map<string, Accepted<ClusterLoadAssignment>>();
  readonly #holders = new Map<string, RoutesHolder>();
  readonly runtimes = new Map<string, ListenerRuntime>();
  readonly #draining: ListenerRuntime[] = [];

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#machine = options.machine;
  }

  /** Names that EDS must be asked for. */
  endpointNames(): Set<string> {
    const names = new Set<string>();
    for (const { message } of this.clusters.values()) if (isEds(message)) names.add(assignmentName(message));
    return names;
  }

  /** Names that RDS must be asked for: of connection managers that are in use. */
  routeNames(): Set<string> {
    const names = new Set<string>();
    for (const { config } of this.runtimes.values()) {
      for (const { terminal } of config.chains)
        if (terminal.kind === "http" && this.#holders.get(terminal.current.routes.name) === terminal.current.routes) names.add(terminal.current.routes.name);
    }
    return names;
  }

  routesNamed(name: string): RoutesHolder {
    let holder = this.#holders.get(name);
    if (holder === undefined) this.#holders.set(name, (holder = { name, current: undefined }));
    return holder;
  }

  #accepted<M extends Message>(schema: DescMessage, message: M, version: string, isStatic: boolean): Accepted<M> {
    return { message, bytes: toBinary(schema, message), version, updatedMs: this.#machine.clock.now(), isStatic };
  }

  /** True when the same resource is already at work. */
  #isSame(schema: DescMessage, message: Message, known: Accepted<Message> | undefined): boolean {
    return known !== undefined && Buffer.compare(known.bytes, toBinary(schema, message)) === 0;
  }

  async setCluster(message: Cluster, version = "", isStatic = false): Promise<void> {
    if (this.#isSame(ClusterSchema, message, this.clusters.get(message.name))) return;
    refuseUnsupported(ClusterSchema, message, "");
    const settings = compileCluster(message, this.#options.bind, this.#options.grpcClusters.has(message.name));
    const transports = await compileTransports(message, this.#machine);
    const type = message.clusterDiscoveryType;
    const eds = isEds(message) ? this.endpoints.get(assignmentName(message))?.message : undefined;
    const runtime = new ClusterRuntime(settings, new ClusterStats(this.#machine.stats, statName(message)), this.#machine);
    const isNamed = type.case === "type" && (type.value === Cluster_DiscoveryType.STRICT_DNS || type.value === Cluster_DiscoveryType.LOGICAL_DNS);
    const entry: ClusterEntry = {
      runtime,
      transports,
      assignment: isEds(message) ? eds : message.loadAssignment,
      byLocalityWeight: message.commonLbConfig?.localityConfigSpecifier.case === "localityWeightedLbConfig",
    };
    if (isNamed) await this.#options.names.follow(message.name, namesIn(entry.assignment), () => this.#assign(this.#entries.get(message.name)));
    else this.#options.names.unfollow(message.name);
    if (entry.assignment !== undefined) this.#assign(entry);
    const before = this.#entries.get(message.name);
    this.#entries.set(message.name, entry);
    this.#options.clusters.set(message.name, runtime);
    this.clusters.set(message.name, this.#accepted(ClusterSchema, message, version, isStatic));
    before?.runtime.remove();
  }

  #assign(entry: ClusterEntry | undefined): void {
    if (entry === undefined) return;
    const resolve = (name: string): readonly string[] => (parseIp(name) === undefined ? this.#options.names.addresses(name) : [name]);
    entry.runtime.assign(compileAssignment(entry.assignment, entry.transports, resolve, entry.byLocalityWeight));
  }

  removeCluster(name: string): void {
    const gone = this.clusters.get(name)?.message;
    if (gone !== undefined) this.#machine.stats.forget(`cluster.${statName(gone)}.`);
    this.#entries.get(name)?.runtime.remove();
    this.#entries.delete(name);
    this.#options.clusters.delete(name);
    this.#options.names.unfollow(name);
    this.clusters.delete(name);
  }

  setAssignment(message: ClusterLoadAssignment, version = ""): void {
    if (this.#isSame(ClusterLoadAssignmentSchema, message, this.endpoints.get(message.clusterName))) return;
    refuseUnsupported(ClusterLoadAssignmentSchema, message, "");
    for (const [name, entry] of this.#entries) {
      const cluster = this.clusters.get(name)?.message;
      if (cluster === undefined || !isEds(cluster) || assignmentName(cluster) !== message.clusterName) continue;
      const next = { ...entry, assignment: message };
      this.#assign(next);
      this.#entries.set(name, next);
    }
    this.endpoints.set(message.clusterName, this.#accepted(ClusterLoadAssignmentSchema, message, version, false));
  }

  setRoutes(message: RouteConfiguration, version = ""): void {
    if (this.#isSame(RouteConfigurationSchema, message, this.routes.get(message.name))) return;
    refuseUnsupported(RouteConfigurationSchema, message, "");
    this.routesNamed(message.name).current = compileRoutes(message);
    this.routes.set(message.name, this.#accepted(RouteConfigurationSchema, message, version, false));
  }

  async setSecret(message: Secret): Promise<void> {
    refuseUnsupported(SecretSchema, message, "");
    await this.#machine.secrets.set(message);
  }

  async setListener(message: Listener, version = "", isStatic = false): Promise<void> {
    const known = this.listeners.get(message.name);
    if (this.#isSame(ListenerSchema, message, known)) return;
    refuseUnsupported(ListenerSchema, message, "");
    const config = await compileListener(message, {
      machine: this.#machine,
      routesNamed: (name) => this.routesNamed(name),
      isSidecar: this.#options.isSidecar,
    });
    const running = this.runtimes.get(message.name);
    const keepsSocket =
      running !== undefined && JSON.stringify(running.config.address) === JSON.stringify(config.address) && running.config.binds === config.binds;
    if (keepsSocket) running.swap(config);
    else {
      const runtime = new ListenerRuntime(config, this.#machine, (target) => this.#listenerFor(target));
      await runtime.listen();
      this.runtimes.set(message.name, runtime);
      if (running !== undefined) await this.#retire(running);
    }
    this.listeners.set(message.name, this.#accepted(ListenerSchema, message, version, isStatic));
  }

  /** A listener bound to the original destination, else one for its port on any address. */
  #listenerFor(target: SocketAddress): ListenerRuntime | undefined {
    let wildcard: ListenerRuntime | undefined;
    for (const runtime of this.runtimes.values()) {
      const { address } = runtime.config;
      if ("path" in address || address.port !== target.port || runtime.config.useOriginalDestination) continue;
      if (address.ip === target.ip) return runtime;
      if (address.ip === "0.0.0.0" || address.ip === "::") wildcard = runtime;
    }
    return wildcard;
  }

  async removeListener(name: string): Promise<void> {
    const runtime = this.runtimes.get(name);
    this.runtimes.delete(name);
    this.listeners.delete(name);
    if (runtime !== undefined) await this.#retire(runtime);
  }

  async #retire(runtime: ListenerRuntime): Promise<void> {
    await runtime.stopListening();
    runtime.drain();
    this.#draining.push(runtime);
  }

  /** Every some seconds. */
  sweep(): void {
    for (const { runtime } of this.#entries.values()) runtime.sweep();
    const still = this.#draining.filter((runtime) => runtime.open.size > 0);
    this.#draining.splice(0, this.#draining.length, ...still);
    const inUse = this.routeNames();
    for (const name of this.#holders.keys()) {
      if (inUse.has(name)) continue;
      this.#holders.delete(name);
      this.routes.delete(name);
    }
  }

  allListeners(): ListenerRuntime[] {
    return [...this.runtimes.values(), ...this.#draining];
  }
}

function statName(cluster: Cluster): string {
  return cluster.altStatName === "" ? cluster.name : cluster.altStatName;
}

function isEds(cluster: Cluster): boolean {
  return cluster.clusterDiscoveryType.case === "type" && cluster.clusterDiscoveryType.value === Cluster_DiscoveryType.EDS;
}

function assignmentName(cluster: Cluster): string {
  const name = cluster.edsClusterConfig?.serviceName ?? "";
  return name === "" ? cluster.name : name;
}

function namesIn(assignment: ClusterLoadAssignment | undefined): string[] {
  return (assignment?.endpoints ?? []).flatMap(({ lbEndpoints }) =>
    lbEndpoints.flatMap(({ hostIdentifier }) => {
      const address = hostIdentifier.case === "endpoint" ? hostIdentifier.value.address?.address : undefined;
      return address?.case === "socketAddress" && parseIp(address.value.address) === undefined ? [address.value.address] : [];
    }),
  );
}
