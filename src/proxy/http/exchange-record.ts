/** One request as decisions, logs and metrics see it. Its course (exchange.ts) writes the fields. */
import type { HeaderBlock } from "#wire/http/header-block.ts";
import type { HeaderName } from "#wire/http/header-name.ts";
import type { RequestHead, ServerStream } from "#wire/http/stream.ts";
import type { AccessRecord } from "#decide/access-log/access-log.ts";
import type { PeerIdentity, RequestView } from "#decide/request-view.ts";
import type { Cluster } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { Downstream } from "#proxy/listen/downstream.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import type { WheelEntry } from "#proxy/timer-wheel.ts";
import type { MeasuredRequest } from "#proxy/stats/measured.ts";
import type { ClusterRuntime } from "#proxy/upstream/cluster.ts";
import type { ConnectionManager } from "./connection-manager.ts";
import type { RouteRuntime } from "./route-runtime.ts";
import type { UpstreamAttempt } from "./upstream-attempt.ts";

export interface ExchangeParts {
  readonly machine: ProxyMachine;
  readonly manager: ConnectionManager;
  readonly downstream: Downstream;
  readonly head: RequestHead;
  readonly stream: ServerStream;
  /** Calls the exchange's `timedOut`: the connection's, because one at a time is under way. */
  readonly timeout: WheelEntry;
}

export abstract class ExchangeRecord implements AccessRecord, RequestView, MeasuredRequest {
  readonly machine: ProxyMachine;
  readonly manager: ConnectionManager;
  readonly downstream: Downstream;
  readonly head: RequestHead;
  readonly stream: ServerStream;
  protected readonly timeout: WheelEntry;
  /** Monotonic. */
  protected readonly startedAt: number;
  status = 0;
  statusDetails: string | undefined = undefined;
  flags = "";
  terminationDetails: string | undefined = undefined;
  bytesReceived = 0;
  bytesSent = 0;
  durationMs = 0;
  responseDurationMs: number | undefined = undefined;
  attempts = 0;
  upstreamFailure: string | undefined = undefined;
  readonly downstreamFailure = undefined;
  remote: string | undefined = undefined;
  route: RouteRuntime | undefined = undefined;
  cluster: ClusterRuntime | undefined = undefined;
  attempt: UpstreamAttempt | undefined = undefined;
  requestWhole = false;
  activeAtMs: number;
  protected responseHeaders: HeaderBlock | undefined = undefined;

  constructor({ machine, manager, downstream, head, stream, timeout }: ExchangeParts) {
    this.machine = machine;
    this.manager = manager;
    this.downstream = downstream;
    this.head = head;
    this.stream = stream;
    this.timeout = timeout;
    this.startedAt = this.activeAtMs = machine.turn.ms;
  }

  allowsUpgrade(kind: string): boolean {
    const act = this.route?.act;
    return (act?.kind === "forward" ? act.upgrades.get(kind) : undefined) ?? this.manager.upgrades.get(kind) ?? false;
  }
  get maySayWhy(): boolean {
    const { tellsWhy } = this.manager;
    return tellsWhy === "always" || (tellsWhy === "identified" && this.downstream.peer !== undefined);
  }

  get startedAtMs(): number {
    return this.startedAt;
  }
  get idleTimeoutMs(): number | undefined {
    const act = this.route?.act;
    return act?.kind === "forward" ? act.idleTimeoutMs : undefined;
  }

  // Back-pressure goes straight through.
  onWritable(): void {
    this.attempt?.resume();
  }
  upstreamWritable(): void {
    this.stream.resumeRequest();
  }

  // What decisions see of the request.
  get method(): string {
    return this.head.method;
  }
  get path(): string {
    return this.head.path;
  }
  get authority(): string {
    return this.head.authority;
  }
  get scheme(): string {
    return this.head.scheme;
  }
  header(name: HeaderName): string | undefined {
    return this.head.headers.get(name);
  }
  repeated(name: HeaderName): readonly string[] | undefined {
    return this.head.headers.repeated(name);
  }

  // What logs and metrics see besides the fields above.
  get startMs(): number {
    const { clock } = this.machine;
    return clock.now() - (clock.monotonic() - this.startedAt);
  }
  get request(): RequestView {
    return this;
  }
  response(name: HeaderName): string | undefined {
    return this.responseHeaders?.get(name);
  }
  get protocol(): string {
    return this.head.version === 10 ? "HTTP/1.0" : "HTTP/1.1";
  }
  get upstreamHost(): string | undefined {
    return this.attempt?.endpoint.settings.text;
  }
  /** Also where a request would have gone that was refused before. */
  get upstreamCluster(): string | undefined {
    if (this.cluster !== undefined) return this.cluster.name;
    const act = this.route?.act;
    const [only, another] = act?.kind === "forward" ? act.clusters.shares : [];
    return only !== undefined && another === undefined && this.machine.clusters.has(only.cluster) ? only.cluster : undefined;
  }
  get upstreamLocal(): string | undefined {
    return this.attempt?.localAddress;
  }
  get local(): string | undefined {
    return this.downstream.local;
  }
  get directRemote(): string | undefined {
    return this.downstream.directRemoteText;
  }
  get serverName(): string | undefined {
    return this.downstream.serverName;
  }
  get routeName(): string | undefined {
    return this.route?.entry.route.name;
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
  get direction(): ConnectionManager["direction"] {
    return this.manager.direction;
  }
  get clusterName(): string | undefined {
    return this.cluster?.name;
  }
  get clusterMessage(): Cluster | undefined {
    return this.cluster?.settings.message;
  }
  get endpointMetadata(): string | undefined {
    return this.attempt?.endpoint.settings.workload;
  }
  /** When the response is over, and the request is not: Envoy counts that as a reset of the stream. */
  get isAnsweredEarly(): boolean {
    const { head } = this;
    return (head.hasBody && !this.requestWhole) || head.upgrade !== undefined || head.method === "CONNECT";
  }
  get upstreamPrincipal(): string | undefined {
    return this.attempt?.peerUri;
  }
  get peer(): PeerIdentity | undefined {
    return this.downstream.peer;
  }
}
