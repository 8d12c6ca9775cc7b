/** What a server's proxy does with a connection: which chain takes it, mTLS, who may do what, where it goes on. */
import type { ConnectionView, ImaginedRequest } from "#decide/request-view.ts";
import { compileRouteTable } from "#decide/route/route-table.ts";
import { parseProvenance } from "#model/provenance.ts";
import { decideAccess } from "./access.ts";
import { hop, type Hint, type Hop } from "./answer.ts";
import { chainFor, type Chain } from "./chain.ts";
import type { PlanView } from "./plan-view.ts";
import { receivedRequest } from "./received.ts";

export interface ProxyIn {
  readonly hops: readonly Hop[];
  /** What the client sees when it ends here. */
  readonly effect?: string;
  readonly hint?: Hint;
}

export function decideInbound(view: PlanView, connection: ConnectionView, request: ImaginedRequest): ProxyIn {
  const listener = view.listener("virtualInbound");
  if (listener === undefined) return { hops: [hop("filter chain", "the proxy has no listener virtualInbound", "unknown", { verdict: "unknown" })] };
  const chain = chainFor(listener, connection, view);
  if (chain === undefined) return refusedConnection(view, connection);
  const hops = [chainHop(chain, connection), securityHop(view, connection, chain)];
  if (chain.usesTls && connection.peer === undefined) {
    const text = `the proxy expects the mesh's TLS on port ${connection.destination.port}, and the client brings none`;
    return { hops: [chainHop(chain, connection), hop("mTLS", text, "executed", { by: modeOf(chain), verdict: "denied" })], effect: "connection closed" };
  }
  if (!chain.usesTls && connection.peer !== undefined) {
    const text = "DENIED: the client's proxy speaks mTLS, and the server's (DISABLE) hands that to the application unread";
    return { hops: [chainHop(chain, connection), hop("mTLS", text, "executed", { by: modeOf(chain), verdict: "denied" })], effect: "connection closed" };
  }
  const rest = chain.end.kind === "http" ? decideHttp(chain, connection, request) : decideTcp(chain, connection);
  return { ...rest, hops: [...hops, ...rest.hops] };
}

function decideTcp(chain: Chain, connection: ConnectionView): ProxyIn {
  const access = decideAccess("proxy in", chain.networkRbac, connection, undefined);
  if (access.effect !== undefined) return { ...access, hops: [access.hop] };
  if (chain.end.kind === "unknown") {
    const text = `what the filters ${chain.end.filters.join(", ")} do is not known here`;
    return { hops: [access.hop, hop("application", text, "unknown", { verdict: "unknown" })] };
  }
  return { hops: [access.hop] };
}

function decideHttp({ end, networkRbac }: Chain, connection: ConnectionView, sent: ImaginedRequest): ProxyIn {
  if (end.kind !== "http") return { hops: [] };
  const atConnection = networkRbac.length === 0 ? undefined : decideAccess("proxy in", networkRbac, connection, undefined);
  if (atConnection?.effect !== undefined) return { ...atConnection, hops: [atConnection.hop] };
  const received = receivedRequest(end, sent, connection);
  if (received === undefined)
    return { hops: [hop("proxy in", `the path ${sent.path} cannot be normalized`, "executed", { verdict: "denied" })], effect: "400" };
  const access = decideAccess("proxy in", end.rbac, received.connection, received.request);
  if (access.effect !== undefined) return { ...access, hops: [access.hop] };
  const { method, path, authority } = received.request;
  const table = end.routes === undefined ? undefined : compileRouteTable(end.routes);
  const entry = table?.entries[table.match(received.request, 0)];
  if (entry === undefined) {
    const text = `no route of ${end.routesName} takes ${method} ${path}`;
    return { hops: [access.hop, hop("route", text, "executed", { verdict: "denied" })], effect: "404" };
  }
  return { hops: [access.hop, hop("route", `${method} ${path} of ${authority} to the application`, "executed", { by: entry.by })] };
}

/** No chain: what would have taken the connection, had it come with mesh TLS, tells who demands that. */
function refusedConnection(view: PlanView, connection: ConnectionView): ProxyIn {
  const listener = view.listener("virtualInbound");
  const other: ConnectionView =
    connection.transportProtocol === "tls"
      ? { ...connection, transportProtocol: "raw_buffer", applicationProtocols: [] }
      : { ...connection, transportProtocol: "tls", applicationProtocols: ["istio"] };
  const wanted = listener === undefined ? undefined : chainFor(listener, other, view);
  const port = connection.destination.port;
  if (wanted === undefined)
    return { hops: [hop("filter chain", `no filter chain takes port ${port}`, "executed", { verdict: "denied" })], effect: "connection closed" };
  const by = modeOf(wanted);
  if (connection.transportProtocol === "tls" && connection.peer === undefined) {
    const text = `DENIED: the client speaks TLS of its own, and port ${port} is HTTP`;
    return { hops: [hop("filter chain", text, "executed", { by: wanted.port, verdict: "denied" })], effect: "connection closed" };
  }
  if (connection.transportProtocol === "tls") {
    const text = "DENIED: the client's proxy speaks mTLS, and the server's takes plain text only (DISABLE)";
    return { hops: [hop("mTLS", text, "executed", { by, verdict: "denied" })], effect: "connection closed" };
  }
  const text = `DENIED: plain text, where STRICT asks for the mesh's TLS; the connection is closed`;
  const parsed = by === undefined ? undefined : parseProvenance(by);
  const mode = parsed === undefined ? "mtls.mode" : `${parsed.field} of ${parsed.kind} ${parsed.namespace ?? ""}/${parsed.name}`;
  const hint = { text: `call from a pod with a proxy (label its namespace istio-injection=enabled), or set ${mode} to PERMISSIVE` };
  return { hops: [hop("mTLS", text, "executed", { by, verdict: "denied" })], effect: "connection closed", hint };
}

/** The PeerAuthentication that decided; undefined: the mesh's default is at work. */
function modeOf({ by }: Chain): string | undefined {
  return by !== undefined && parseProvenance(by)?.kind === "PeerAuthentication" ? by : undefined;
}

function chainHop(chain: Chain, { destination }: ConnectionView): Hop {
  const kind = chain.end.kind === "http" ? "HTTP" : "TCP";
  const service = chain.port ?? (modeOf(chain) === undefined ? chain.by : undefined);
  const parsed = service === undefined ? undefined : parseProvenance(service);
  const what = parsed === undefined ? `port ${destination.port}, which no Service of this pod names` : `port ${destination.port}`;
  return hop("filter chain", `${chain.name}: ${kind} on ${what}`, "executed", { by: parsed });
}

function securityHop(view: PlanView, connection: ConnectionView, chain: Chain): Hop {
  const by = modeOf(chain);
  const origin = by === undefined ? " (the mesh's default: no PeerAuthentication says otherwise)" : "";
  if (!chain.usesTls) {
    const foreign = connection.transportProtocol === "tls" ? "TLS that is the application's own" : "none: plain text";
    return hop("mTLS", `${foreign}, accepted${origin}`, "executed", { by });
  }
  const listener = view.listener("virtualInbound");
  const plain: ConnectionView = { ...connection, transportProtocol: "raw_buffer", applicationProtocols: [] };
  const isStrict = listener === undefined || chainFor(listener, plain, view) === undefined;
  const caller = connection.peer?.uris[0];
  return hop("mTLS", `${isStrict ? "STRICT" : `PERMISSIVE${origin}`}, TLS 1.3${caller === undefined ? "" : `, caller ${caller}`}`, "executed", { by });
}
