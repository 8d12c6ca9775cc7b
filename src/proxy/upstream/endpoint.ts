/**
 * One endpoint of a cluster with its pool: idle connections are reused newest first, requests wait in order for the next
 * connection that is connected or free. Limits are the cluster's circuit breakers.
 */
import type { EndpointState } from "#decide/endpoint/endpoint.ts";
import type { Connection, ConnectionHandler, NetError, StreamAddress } from "#host/net.ts";
import type { ClientTls } from "#proxy/tls/tls-config.ts";
import type { ClusterStats } from "./cluster-stats.ts";
import { failureWords } from "./failure-words.ts";
import { type ConnectionEnd, type ConnectionOwner, UpstreamConnection } from "./upstream-connection.ts";

/** Who waits for a connection. */
export interface PoolWaiter {
  onConnection(connection: UpstreamConnection): void;
  onNoConnection(failure: ConnectFailure): void;
}

export interface ConnectFailure {
  readonly kind: "connect" | "timeout" | "overflow";
  readonly detail: string;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

export interface EndpointSettings {
  readonly address: StreamAddress;
  /** "10.0.0.1:80", or the path of a socket. */
  readonly text: string;
  readonly hostname: string;
  readonly tls: ClientTls | undefined;
  /** Which transport_socket_match gave `tls`. */
  readonly transport: string;
  readonly by: string | undefined;
  readonly priority: number;
  readonly locality: Locality;
  /** "workload;namespace;canonical name;canonical revision;cluster" (Istio's metadata), for metrics. */
  readonly workload: string | undefined;
}

/** What an endpoint needs of its cluster. */
export interface EndpointCluster {
  readonly name: string;
  readonly stats: ClusterStats;
  readonly breakers: { readonly maxConnections: number; readonly maxPending: number };
  readonly maxRequestsPerConnection: number;
  readonly removed: boolean;
  nowMs(): number;
  connect(endpoint: EndpointSettings, handler: ConnectionHandler): Connection;
}

export class Endpoint implements EndpointState, ConnectionOwner {
  readonly cluster: EndpointCluster;
  readonly settings: EndpointSettings;
  weight = 1;
  healthy = true;
  healthStatus = 0;
  active = 0;
  removed = false;
  /** For /clusters. */
  rqTotal = 0;
  rqError = 0;
  rqSuccess = 0;
  rqTimeout = 0;
  cxTotal = 0;
  cxConnectFail = 0;
  #connections = 0;
  #connecting = 0;
  #idle: UpstreamConnection[] = [];
  #pending: PoolWaiter[] = [];

  constructor(cluster: EndpointCluster, settings: EndpointSettings) {
    this.cluster = cluster;
    this.settings = settings;
  }

  get pending(): number {
    return this.#pending.length;
  }

  get cxActive(): number {
    return this.#connections;
  }

  /** Calls the waiter back, at once when a connection is idle. */
  acquire(waiter: PoolWaiter): void {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle === undefined) break;
      if (idle.codec.closed) continue;
      waiter.onConnection(idle);
      return;
    }
    const { cluster } = this;
    const { stats } = cluster;
    if (stats.rqPendingActive.value >= cluster.breakers.maxPending) {
      stats.rqPendingOverflow.value++;
      waiter.onNoConnection({
        kind: "overflow",
        detail: `circuit breaker of cluster ${cluster.name}: ${cluster.breakers.maxPending} requests already wait for a connection`,
      });
      return;
    }
    stats.rqPendingTotal.value++;
    stats.rqPendingActive.value++;
    this.#pending.push(waiter);
    if (this.#connecting >= this.#pending.length) return;
    if (stats.cxActive.value < cluster.breakers.maxConnections || this.#connections === 0) this.#connect();
    else stats.cxOverflow.value++;
  }

  /** The waiter no longer wants a connection. */
  forget(waiter: PoolWaiter): void {
    const at = this.#pending.indexOf(waiter);
    if (at < 0) return;
    this.#pending.splice(at, 1);
    this.cluster.stats.rqPendingActive.value--;
  }

  #connect(): void {
    const { stats } = this.cluster;
    this.#connecting++;
    this.#connections++;
    this.cxTotal++;
    stats.cxTotal.value++;
    stats.cxHttp1Total.value++;
    stats.cxActive.value++;
    new UpstreamConnection(this);
  }

  /** Opens a raw connection; TCP proxies use it without the pool. */
  open(handler: ConnectionHandler): Connection {
    return this.cluster.connect(this.settings, handler);
  }

  received(bytes: number): void {
    this.cluster.stats.rxBytes.value += bytes;
  }

  sent(bytes: number): void {
    this.cluster.stats.txBytes.value += bytes;
  }

  closing(): void {
    this.cluster.stats.cxCloseNotify.value++;
  }

  nowMs(): number {
    return this.cluster.nowMs();
  }

  connected(connection: UpstreamConnection): void {
    this.#connecting--;
    if (this.settings.tls !== undefined) this.cluster.stats.tls.established(connection.connection.facts.tls);
    this.cluster.stats.cxConnectTime.record(this.cluster.nowMs() - connection.startedAtMs);
    this.released(connection);
  }

  /** The connection can take a request. */
  released(connection: UpstreamConnection): void {
    const limit = this.cluster.maxRequestsPerConnection;
    if (limit > 0 && connection.requests >= limit) {
      this.cluster.stats.cxMaxRequests.value++;
      connection.retire();
      return;
    }
    const waiter = this.#pending.shift();
    if (waiter !== undefined) {
      this.cluster.stats.rqPendingActive.value--;
      waiter.onConnection(connection);
    } else if (this.removed || this.cluster.removed) connection.retire();
    else {
      connection.idleSinceMs = this.cluster.nowMs();
      this.#idle.push(connection);
    }
  }

  connectFailed(connection: UpstreamConnection, error: NetError | undefined): void {
    const { stats } = this.cluster;
    this.#connecting--;
    this.#connections--;
    this.cxConnectFail++;
    stats.cxActive.value--;
    const isTimeout = error?.code === "ETIMEDOUT";
    stats.closed({ byPeer: !isTimeout, active: false, durationMs: this.cluster.nowMs() - connection.startedAtMs, requests: undefined });
    stats.cxConnectFail.value++;
    if (this.settings.tls !== undefined) stats.tls.failed(error);
    if (isTimeout) stats.cxConnectTimeout.value++;
    // As Envoy does: whoever waits for this endpoint hears of it now, rather than one after the other.
    const failed = this.#pending.splice(this.#connecting, Infinity);
    stats.rqPendingActive.value -= failed.length;
    stats.rqPendingFailed.value += failed.length;
    const failure: ConnectFailure = {
      kind: isTimeout ? "timeout" : "connect",
      detail: failureWords(error),
    };
    for (const waiter of failed) waiter.onNoConnection(failure);
  }

  closed(connection: UpstreamConnection, end: ConnectionEnd): void {
    const { stats } = this.cluster;
    this.#connections--;
    stats.cxActive.value--;
    stats.closed(end);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    // Whoever waited for a free connection, because no more were allowed, needs a new one.
    if (this.#pending.length > this.#connecting && stats.cxActive.value < this.cluster.breakers.maxConnections) this.#connect();
  }

  /** Closes what is idle for longer than `idleMs`. */
  closeIdle(idleMs: number): void {
    const oldest = this.cluster.nowMs() - idleMs;
    const expired = this.#idle.filter((connection) => connection.idleSinceMs <= oldest);
    if (expired.length === 0) return;
    this.#idle = this.#idle.filter((connection) => connection.idleSinceMs > oldest);
    this.cluster.stats.cxIdleTimeout.value += expired.length;
    for (const connection of expired) connection.retire();
  }

  /** No new requests; what is under way goes on. */
  remove(): void {
    this.removed = true;
    const idle = this.#idle;
    this.#idle = [];
    for (const connection of idle) connection.retire();
  }
}
