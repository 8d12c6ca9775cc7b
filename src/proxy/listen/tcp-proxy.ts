/** envoy.filters.network.tcp_proxy: bytes both ways between a client and an endpoint, with half-close and back-pressure. */
import type { Connection, ConnectionHandler, NetError } from "#host/net.ts";
import type { HeaderName } from "#wire/http/header-name.ts";
import type { Cluster } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { AccessRecord } from "#decide/access-log/access-log.ts";
import type { PeerIdentity } from "#decide/request-view.ts";
import type { AccessLogs } from "#proxy/access-logs.ts";
import { FLAG } from "#proxy/http/flags.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import type { Measured } from "#proxy/stats/measured.ts";
import type { Counter, Scope } from "#proxy/stats/stats.ts";
import { WheelEntry } from "#proxy/timer-wheel.ts";
import { failureWords } from "#proxy/upstream/failure-words.ts";
import type { ClusterRuntime } from "#proxy/upstream/cluster.ts";
import type { Endpoint } from "#proxy/upstream/endpoint.ts";
import { addressText, type Downstream } from "./downstream.ts";
import type { OpenConnections } from "./open-connections.ts";

export interface TcpProxySettings {
  /** Index of the cluster for a random value. */
  readonly choose: (random: number) => string;
  readonly idleTimeoutMs: number;
  readonly maxConnectAttempts: number;
  readonly accessLogs: AccessLogs;
  readonly stats: TcpProxyStats;
  readonly direction: "inbound" | "outbound" | "unspecified";
}

export class TcpProxyStats {
  readonly total: Counter;
  readonly noRoute: Counter;
  readonly rxBytes: Counter;
  readonly txBytes: Counter;
  readonly idleTimeout: Counter;
  constructor(scope: Scope) {
    this.total = scope.counter("downstream_cx_total");
    this.noRoute = scope.counter("downstream_cx_no_route");
    this.rxBytes = scope.counter("downstream_cx_rx_bytes_total");
    this.txBytes = scope.counter("downstream_cx_tx_bytes_total");
    this.idleTimeout = scope.counter("idle_timeout");
  }
}

/** Above this many unsent bytes the other side is not read. */
const HIGH_WATER_BYTES = 256 * 1024;

export class TcpSession implements ConnectionHandler, AccessRecord, Measured {
  readonly machine: ProxyMachine;
  readonly settings: TcpProxySettings;
  readonly downstream: Downstream;
  readonly #open: OpenConnections;
  readonly #idle: WheelEntry;
  readonly startMs: number;
  readonly #startedAt: number;
  cluster: ClusterRuntime | undefined = undefined;
  endpoint: Endpoint | undefined = undefined;
  #upstream: Connection | undefined = undefined;
  #connected = false;
  #connectedAt = 0;
  #closedUpstream = false;
  #downstreamEnded = false;
  #upstreamEnded = false;
  #over = false;
  #lastActiveMs: number;
  // AccessRecord
  readonly request = undefined;
  readonly protocol = undefined;
  readonly status = 0;
  readonly statusDetails = undefined;
  readonly responseDurationMs = undefined;
  readonly routeName = undefined;
  flags = "";
  terminationDetails: string | undefined = undefined;
  bytesReceived = 0;
  bytesSent = 0;
  durationMs = 0;
  attempts = 0;
  upstreamFailure: string | undefined = undefined;
  readonly downstreamFailure = undefined;
  upstreamLocal: string | undefined = undefined;

  constructor(machine: ProxyMachine, settings: TcpProxySettings, downstream: Downstream, open: OpenConnections) {
    this.machine = machine;
    this.settings = settings;
    this.downstream = downstream;
    this.#open = open;
    this.startMs = machine.clock.now();
    this.#startedAt = this.#lastActiveMs = machine.clock.monotonic();
    this.#idle = new WheelEntry(() => this.#idleExpired());
    open.add(this);
    settings.stats.total.value++;
  }

  response(_name: HeaderName): undefined {
    return undefined;
  }
  readonly authority = "";
  get direction(): TcpProxySettings["direction"] {
    return this.settings.direction;
  }
  get clusterName(): string | undefined {
    return this.cluster?.name;
  }
  get clusterMessage(): Cluster | undefined {
    return this.cluster?.settings.message;
  }
  get endpointMetadata(): string | undefined {
    return this.endpoint?.settings.workload;
  }
  get upstreamPrincipal(): string | undefined {
    return this.#upstream?.facts.tls?.peerUris[0];
  }
  get peer(): PeerIdentity | undefined {
    return this.downstream.peer;
  }
  get upstreamHost(): string | undefined {
    return this.endpoint?.settings.text;
  }
  get upstreamCluster(): string | undefined {
    return this.cluster?.name;
  }
  get local(): string | undefined {
    return this.downstream.local;
  }
  get remote(): string | undefined {
    return this.downstream.directRemoteText;
  }
  get directRemote(): string | undefined {
    return this.downstream.directRemoteText;
  }
  get serverName(): string | undefined {
    return this.downstream.serverName;
  }
  get peerUri(): string | undefined {
    return this.downstream.peer?.uris[0];
  }
  get localUri(): string | undefined {
    return this.downstream.localUri;
  }
  get tlsVersion(): string | undefined {
    return this.downstream.tls?.version;
  }

  start(): void {
    const name = this.settings.choose(this.machine.random.next());
    this.cluster = this.machine.clusters.get(name);
    if (this.cluster === undefined) {
      this.settings.stats.noRoute.value++;
      return this.#end(FLAG.noCluster);
    }
    // Nothing is read before there is somewhere to send it.
    this.downstream.connection.pause();
    this.#connect(this.cluster);
  }

  #connect(cluster: ClusterRuntime): void {
    const endpoint = cluster.choose(this.downstream.target);
    this.attempts++;
    if (endpoint === undefined) {
      cluster.stats.cxNoneHealthy.value++;
      return this.#end(FLAG.noHealthyUpstream);
    }
    if (cluster.stats.cxActive.value >= cluster.breakers.maxConnections) {
      cluster.stats.cxOverflow.value++;
      return this.#end(FLAG.upstreamOverflow);
    }
    this.endpoint = endpoint;
    this.#connectedAt = this.machine.clock.monotonic();
    this.#closedUpstream = false;
    endpoint.active++;
    endpoint.cxTotal++;
    cluster.stats.cxTotal.value++;
    cluster.stats.rqPendingTotal.value++;
    cluster.stats.cxActive.value++;
    const { connection } = this.downstream;
    this.#upstream = endpoint.open({
      onConnect: () => {
        this.#connected = true;
        cluster.stats.rqTotal.value++;
        cluster.stats.cxConnectTime.record(this.machine.clock.monotonic() - this.#connectedAt);
        this.upstreamLocal = addressText(this.#upstream?.facts.local);
        connection.resume();
        if (this.#downstreamEnded) this.#upstream?.end();
        if (this.settings.idleTimeoutMs > 0) this.machine.wheel.set(this.#idle, this.settings.idleTimeoutMs);
      },
      onData: (bytes) => {
        this.#touch();
        this.bytesSent += bytes.length;
        this.settings.stats.txBytes.value += bytes.length;
        cluster.stats.rxBytes.value += bytes.length;
        connection.writeBorrowed(bytes);
        if (connection.bufferedBytes > HIGH_WATER_BYTES) this.#upstream?.pause();
      },
      onEnd: () => {
        this.#upstreamEnded = true;
        connection.end();
        if (this.#downstreamEnded) this.#upstream?.end();
      },
      onDrain: () => connection.resume(),
      onClose: (error) => this.#upstreamClosed(cluster, endpoint, error),
    });
  }

  #upstreamClosed(cluster: ClusterRuntime, endpoint: Endpoint, error: NetError | undefined): void {
    endpoint.active--;
    cluster.stats.cxActive.value--;
    const durationMs = this.machine.clock.monotonic() - this.#connectedAt;
    cluster.stats.closed({ byPeer: !this.#closedUpstream, active: this.#connected, durationMs, requests: undefined });
    if (this.#connected) {
      if (error !== undefined) this.downstream.connection.destroy(true);
      else if (!this.#upstreamEnded) this.downstream.connection.end();
      return this.#end("");
    }
    cluster.stats.cxConnectFail.value++;
    endpoint.cxConnectFail++;
    cluster.stats.rqPendingFailed.value++;
    this.upstreamFailure = failureWords(error);
    if (this.#over) return;
    if (this.attempts < this.settings.maxConnectAttempts) return this.#connect(cluster);
    cluster.stats.cxAttemptsExceeded.value++;
    this.#end(`${FLAG.upstreamConnectionFailure},${FLAG.upstreamRetryLimit}`);
  }

  // The downstream's half.
  onData(bytes: Uint8Array): void {
    this.#touch();
    this.bytesReceived += bytes.length;
    this.settings.stats.rxBytes.value += bytes.length;
    const upstream = this.#upstream;
    if (upstream === undefined) return;
    upstream.writeBorrowed(bytes);
    if (this.cluster !== undefined) this.cluster.stats.txBytes.value += bytes.length;
    if (upstream.bufferedBytes > HIGH_WATER_BYTES) this.downstream.connection.pause();
  }

  onEnd(): void {
    this.#downstreamEnded = true;
    if (this.#connected) this.#upstream?.end();
  }

  onDrain(): void {
    this.#upstream?.resume();
  }

  onClose(error?: NetError): void {
    if (error !== undefined || !this.#downstreamEnded) this.#closeUpstream();
    this.#end(this.#connected ? "" : FLAG.downstreamTermination);
  }

  #touch(): void {
    this.#lastActiveMs = this.machine.clock.monotonic();
  }

  #idleExpired(): void {
    const left = this.settings.idleTimeoutMs - (this.machine.clock.monotonic() - this.#lastActiveMs);
    if (left > 0) return this.machine.wheel.set(this.#idle, left);
    this.settings.stats.idleTimeout.value++;
    this.terminationDetails = "idle_timeout";
    this.close();
  }

  /** TCP has no point between two requests: it goes on until the deadline of the drain. */
  drain(): void {}

  close(): void {
    this.downstream.connection.destroy();
    this.#closeUpstream();
  }

  #closeUpstream(): void {
    this.#closedUpstream = true;
    this.#upstream?.destroy();
  }

  #end(flag: string): void {
    if (this.#over) return;
    this.#over = true;
    if (this.flags === "") this.flags = flag;
    this.machine.wheel.cancel(this.#idle);
    this.#open.delete(this);
    this.durationMs = Math.round(this.machine.clock.monotonic() - this.#startedAt);
    this.machine.traffic?.opened(this);
    this.machine.traffic?.closed(this);
    if (this.settings.accessLogs.any) this.settings.accessLogs.write(this);
    Object.assign(this.downstream, { flags: this.flags, terminationDetails: this.terminationDetails, bytesReceived: this.bytesReceived });
    this.downstream.end();
    if (flag !== "") this.downstream.connection.destroy();
  }
}
