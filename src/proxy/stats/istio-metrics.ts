/**
 * Traffic under Istio's names and labels. Labels that many requests share are made into one series once: the request path
 * looks it up by a short key. What a proxy cannot know of its peer (the other side's workload, without metadata exchange)
 * is "unknown", as in Istio; the peer's namespace and principal come from its certificate.
 */
import type { JsonObject } from "@bufbuild/protobuf";
import type { Node } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import type { PeerIdentity } from "#decide/request-view.ts";
import { parseIp } from "#lib/ip.ts";
import type { Measured, MeasuredRequest, TrafficMetrics } from "./measured.ts";
import type { Counter, Histogram, Labels, Stats } from "./stats.ts";

interface RequestSeries {
  readonly total: Counter;
  readonly duration: Histogram;
  readonly requestBytes: Histogram;
  readonly responseBytes: Histogram;
}

interface ConnectionSeries {
  readonly opened: Counter;
  readonly closed: Counter;
  readonly received: Counter;
  readonly sent: Counter;
}

/** Bounds the number of series that strangers can make (by Host headers, say). */
const MAX_SERIES = 10_000;

interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly app: string;
  readonly version: string;
  readonly canonical: string;
  readonly revision: string;
}

const UNKNOWN: Workload = { name: "unknown", namespace: "unknown", app: "unknown", version: "unknown", canonical: "unknown", revision: "latest" };

export class IstioMetrics implements TrafficMetrics {
  readonly #stats: Stats;
  readonly #own: Workload;
  readonly #ownPrincipal: string;
  readonly #requests = new Map<string, RequestSeries>();
  readonly #connections = new Map<string, ConnectionSeries>();

  constructor(stats: Stats, node: Node | undefined) {
    this.#stats = stats;
    const metadata: JsonObject = node?.metadata ?? {};
    const labels = (typeof metadata["LABELS"] === "object" ? metadata["LABELS"] : {}) as JsonObject;
    const text = (value: unknown, fallback: string): string => (typeof value === "string" && value !== "" ? value : fallback);
    const app = text(labels["app"], text(labels["app.kubernetes.io/name"], "unknown"));
    const namespace = text(metadata["NAMESPACE"], "unknown");
    const name = text(metadata["WORKLOAD_NAME"], workloadOf(text(metadata["NAME"], "unknown")));
    const version = text(labels["version"], "unknown");
    this.#own = {
      name,
      namespace,
      app,
      version,
      canonical: text(labels["service.istio.io/canonical-name"], app === "unknown" ? name : app),
      revision: text(labels["service.istio.io/canonical-revision"], version === "unknown" ? "latest" : version),
    };
    this.#ownPrincipal = `spiffe://cluster.local/ns/${namespace}/sa/${text(metadata["SERVICE_ACCOUNT"], "default")}`;
  }

  record(request: MeasuredRequest): void {
    // Probes and scrapes of the proxy itself are no traffic of the mesh.
    if (request.direction === "unspecified") return;
    const key = `${keyOf(request)}|${request.status}|${request.flags}`;
    let series = this.#requests.get(key);
    if (series === undefined) {
      if (this.#requests.size >= MAX_SERIES) return;
      const labels: Labels = {
        ...this.#labels(request),
        request_protocol: "http",
        response_code: String(request.status),
        grpc_response_status: "",
        response_flags: request.flags === "" ? "-" : request.flags,
      };
      series = {
        total: this.#stats.labelled("istio_requests_total", labels),
        duration: this.#stats.labelledHistogram("istio_request_duration_milliseconds", labels),
        requestBytes: this.#stats.labelledHistogram("istio_request_bytes", labels),
        responseBytes: this.#stats.labelledHistogram("istio_response_bytes", labels),
      };
      this.#requests.set(key, series);
    }
    series.total.value++;
    series.duration.record(request.durationMs);
    series.requestBytes.record(request.bytesReceived);
    series.responseBytes.record(request.bytesSent);
  }

  #connection(measured: Measured): ConnectionSeries | undefined {
    const key = keyOf(measured);
    const known = this.#connections.get(key);
    if (known !== undefined || this.#connections.size >= MAX_SERIES) return known;
    const labels: Labels = { ...this.#labels(measured), request_protocol: "tcp", response_flags: "-" };
    const series: ConnectionSeries = {
      opened: this.#stats.labelled("istio_tcp_connections_opened_total", labels),
      closed: this.#stats.labelled("istio_tcp_connections_closed_total", labels),
      received: this.#stats.labelled("istio_tcp_received_bytes_total", labels),
      sent: this.#stats.labelled("istio_tcp_sent_bytes_total", labels),
    };
    this.#connections.set(key, series);
    return series;
  }

  opened(connection: Measured): void {
    const series = this.#connection(connection);
    if (series !== undefined) series.opened.value++;
  }

  closed(connection: Measured): void {
    const series = this.#connection(connection);
    if (series === undefined) return;
    series.closed.value++;
    series.received.value += connection.bytesReceived;
    series.sent.value += connection.bytesSent;
  }

  #labels(measured: Measured): Labels {
    const isServer = measured.direction === "inbound";
    const service = serviceOf(measured);
    const source = isServer ? peerWorkload(measured.peer) : this.#own;
    const destination = isServer ? this.#own : endpointWorkload(measured.endpointMetadata);
    const peerPrincipal = measured.peer?.uris[0] ?? "unknown";
    const isMutual = isServer && measured.peer !== undefined;
    return {
      reporter: isServer ? "destination" : "source",
      source_workload: source.name,
      source_workload_namespace: source.namespace,
      source_principal: isServer ? peerPrincipal : this.#ownPrincipal,
      source_app: source.app,
      source_version: source.version,
      source_canonical_service: source.canonical,
      source_canonical_revision: source.revision,
      source_cluster: "Kubernetes",
      destination_workload: destination.name,
      destination_workload_namespace: destination.namespace,
      destination_principal: isServer ? this.#ownPrincipal : (measured.upstreamPrincipal ?? "unknown"),
      destination_app: destination.app,
      destination_version: destination.version,
      destination_canonical_service: destination.canonical,
      destination_canonical_revision: destination.revision,
      destination_cluster: "Kubernetes",
      destination_service: service.host,
      destination_service_name: service.name,
      destination_service_namespace: service.namespace,
      connection_security_policy: isServer ? (isMutual ? "mutual_tls" : "none") : "unknown",
    };
  }
}

function keyOf(measured: Measured): string {
  const where = measured.clusterName ?? "";
  return `${measured.direction}|${where}|${measured.endpointMetadata ?? ""}|${measured.upstreamPrincipal ?? ""}|${measured.peer?.uris[0] ?? ""}|${where.startsWith("inbound|") ? measured.authority : ""}`;
}

/** "outbound|9080|v1|reviews.default.svc.cluster.local"; inbound clusters have no host: the request's own says. */
function serviceOf({ clusterName, authority, clusterMessage }: Measured): { host: string; name: string; namespace: string } {
  const named = clusterMessage?.metadata?.filterMetadata["istio"]?.["services"];
  const first: unknown = Array.isArray(named) ? named[0] : undefined;
  if (typeof first === "object" && first !== null && !Array.isArray(first)) {
    const { host, name, namespace } = first as Record<string, unknown>;
    if (typeof host === "string" && typeof name === "string" && typeof namespace === "string") return { host, name, namespace };
  }
  const host = clusterName?.split("|")[3] ?? "";
  const from = host === "" ? authority.replace(/:\d+$/, "") : host;
  // Who asked for an address asked for no service.
  if (parseIp(from) !== undefined) return { host: from, name: from, namespace: "unknown" };
  const [name, namespace, svc] = from.split(".");
  if (clusterName === undefined || from === "") return { host: from === "" ? "unknown" : from, name: from === "" ? "unknown" : from, namespace: "unknown" };
  return svc === "svc" || (host === "" && namespace !== undefined)
    ? { host: from, name: name ?? from, namespace: namespace ?? "unknown" }
    : { host: from, name: from, namespace: "unknown" };
}

/** reviews-v1-7b5f9c-x2x4k -> reviews-v1 */
function workloadOf(pod: string): string {
  return pod.replace(/-[a-z0-9]{6,10}-[a-z0-9]{5}$/, "");
}

function peerWorkload(peer: PeerIdentity | undefined): Workload {
  const found = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\//.exec(peer?.uris[0] ?? "");
  return found === null ? UNKNOWN : { ...UNKNOWN, namespace: found[1] ?? "unknown" };
}

/** Istio's endpoint metadata: "workload;namespace;canonical name;canonical revision;cluster". */
function endpointWorkload(text: string | undefined): Workload {
  if (text === undefined) return UNKNOWN;
  const [name = "unknown", namespace = "unknown", canonical = "unknown", revision = "latest"] = text.split(";");
  return { name, namespace, app: canonical, version: revision, canonical, revision };
}
