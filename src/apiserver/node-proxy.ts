/** What only a node can answer: logs, exec and attach of its pods, and its agents' own pages. Passed through to the node's address. */
import { HostError } from "#host/host-error.ts";
import type { Http, HttpExchange, HttpUpgrade, WebSocketConnection } from "#host/http.ts";
import type { Node, Pod } from "#model/core.ts";
import type { KubeObject } from "#model/object.ts";
import type { ResourceRequest } from "./route.ts";
import { ApiError, badRequest } from "./status.ts";
import type { Store } from "./store.ts";

/** The kubelet's port, which the pod runtime serves. */
const RUNTIME_PORT = 10250;

export interface NodeTls {
  readonly ca: string;
  readonly certificate: string;
  readonly privateKey: string;
}

export interface NodeProxyParts {
  readonly http: Http;
  readonly store: Store;
  readonly tls: NodeTls | undefined;
}

const subprotocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

export class NodeProxy {
  readonly #parts: NodeProxyParts;

  constructor(parts: NodeProxyParts) {
    this.#parts = parts;
  }

  /** GET pods/log. */
  async log(exchange: HttpExchange, request: ResourceRequest, query: URLSearchParams): Promise<void> {
    const pod = this.#pod(request);
    const container = containerOf(pod, query.get("container"), "log");
    const rest = new URLSearchParams(query);
    rest.delete("container");
    const path = `/containerLogs/${pod.metadata.namespace ?? ""}/${pod.metadata.name}/${container}`;
    await this.#pass(exchange, `${this.#runtimeUrl(pod)}${path}?${rest.toString()}`, new Uint8Array());
  }

  /** Any method on nodes/<name>[:port]/proxy/<path>. */
  async proxy(exchange: HttpExchange, request: ResourceRequest, query: URLSearchParams): Promise<void> {
    const [name = "", port = String(RUNTIME_PORT)] = (request.name ?? "").replace(/^https:/, "").split(":");
    const node = this.#parts.store.get("Node", name);
    if (node === undefined) throw new ApiError("NotFound", `nodes ${JSON.stringify(name)} not found`, { name, kind: "nodes" });
    const search = query.toString();
    await this.#pass(exchange, `https://${addressOf(node)}:${port}/${request.rest}${search === "" ? "" : `?${search}`}`, await exchange.body());
  }

  async #pass(exchange: HttpExchange, url: string, body: Uint8Array): Promise<void> {
    const gone = new AbortController();
    const response = await this.#parts.http
      .request({ method: exchange.method, url, ...(body.length === 0 ? {} : { body }), ...this.#tls(), signal: gone.signal })
      .catch((error: unknown) => {
        throw unreachable(url, error);
      });
    const type = response.headers["content-type"];
    const stream = exchange.stream(response.status, type === undefined ? {} : { "content-type": type }, () => gone.abort());
    try {
      for await (const chunk of response.chunks()) stream.write(chunk);
    } catch {
      // The node broke off, or the client went away; either way the answer ends here.
    }
    stream.end();
  }

  /** exec over WebSocket; the frames (channels of v4 and v5) go through as they are. What is wrong with the pod is said to every client. */
  upgrade(upgrade: HttpUpgrade, request: ResourceRequest, query: URLSearchParams): void {
    const refuse = (error: unknown) => {
      const failure = error instanceof ApiError ? error : new ApiError("InternalError", String(error));
      upgrade.refuse(failure.code, { "content-type": "application/json" }, JSON.stringify(failure.status()));
    };
    const offered = upgrade.protocols.filter((protocol) => subprotocols.includes(protocol));
    let url: string;
    try {
      const pod = this.#pod(request);
      const container = containerOf(pod, query.get("container"), "exec");
      const runtime = this.#runtimeUrl(pod);
      mustRun(pod, container);
      if (offered.length === 0) {
        const given = upgrade.protocols.join(", ") || "none";
        throw badRequest(`exec speaks the WebSocket subprotocols ${subprotocols.join(" and ")}; the client offered ${given}`);
      }
      const rest = new URLSearchParams(query);
      rest.delete("container");
      url = `${runtime}/exec/${pod.metadata.namespace ?? ""}/${pod.metadata.name}/${container}?${rest.toString()}`;
    } catch (error) {
      return refuse(error);
    }
    this.#bridge(upgrade, url, offered, refuse);
  }

  /** The client is accepted once the node has chosen a subprotocol, so that both speak the same. */
  #bridge(upgrade: HttpUpgrade, url: string, protocols: readonly string[], refuse: (error: unknown) => void): void {
    let client: WebSocketConnection | undefined;
    const early: (() => void)[] = [];
    let isNodeGone = false;
    this.#parts.http
      .webSocket(
        { url, protocols, ...this.#tls() },
        {
          onMessage(bytes, binary) {
            const data = binary ? bytes : Buffer.from(bytes).toString("utf8");
            if (client === undefined) early.push(() => client?.send(data));
            else client.send(data);
          },
          onClose() {
            isNodeGone = true;
            client?.close(1000);
          },
        },
      )
      .then(
        ({ connection: node, protocol }) => {
          client = upgrade.accept(protocol, {
            onMessage: (bytes, binary) => node.send(binary ? bytes : Buffer.from(bytes).toString("utf8")),
            onClose: () => node.close(1000),
          });
          for (const action of early) action();
          if (isNodeGone) client.close(1000);
        },
        (error: unknown) => refuse(nodeRefused(url, error)),
      );
  }

  #pod({ namespace, name }: ResourceRequest): Pod {
    const pod = this.#parts.store.get("Pod", `${namespace ?? ""}/${name ?? ""}`);
    if (pod === undefined) throw new ApiError("NotFound", `pods ${JSON.stringify(name)} not found`, { name: name ?? "", kind: "pods" });
    return pod as Pod;
  }

  #runtimeUrl(pod: Pod): string {
    const { nodeName = "" } = pod.spec;
    if (nodeName === "") throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
    const node = this.#parts.store.get("Node", nodeName);
    if (node === undefined) throw new ApiError("NotFound", `nodes ${JSON.stringify(nodeName)} not found`, { name: nodeName, kind: "nodes" });
    return `https://${addressOf(node)}:${RUNTIME_PORT}`;
  }

  #tls(): { readonly tls: NodeTls } | Record<string, never> {
    return this.#parts.tls === undefined ? {} : { tls: this.#parts.tls };
  }
}

function addressOf(node: KubeObject): string {
  const address = (node as Node).status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
  if (address === undefined) throw new ApiError("ServiceUnavailable", `node ${node.metadata.name} has no InternalIP yet`);
  return address.includes(":") ? `[${address}]` : address;
}

function containerOf(pod: Pod, asked: string | null, what: string): string {
  const names = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map(({ name }) => name);
  const [first] = names;
  if (asked !== null && asked !== "") {
    if (names.includes(asked)) return asked;
    throw badRequest(`container ${asked} is not valid for pod ${pod.metadata.name}`);
  }
  const preferred = pod.metadata.annotations?.["kubectl.kubernetes.io/default-container"];
  if (preferred !== undefined && names.includes(preferred)) return preferred;
  if (first !== undefined && (names.length === 1 || what !== "log")) return first;
  throw badRequest(`a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(" ")}]`);
}

/** The node would refuse too; but clients that fall back to SPDY would not hear why. */
function mustRun({ metadata, status }: Pod, container: string): void {
  const statuses = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  const state = statuses.find(({ name }) => name === container)?.state ?? {};
  if (state.running !== undefined) return;
  const why = state.waiting?.reason ?? (state.terminated === undefined ? "not started yet" : (state.terminated.reason ?? "ended"));
  throw badRequest(`container ${JSON.stringify(container)} of pod ${metadata.namespace ?? ""}/${metadata.name} is not running: ${why}`);
}

function unreachable(url: string, error: unknown): ApiError {
  return new ApiError("BadGateway", `error trying to reach ${url}: ${error instanceof Error ? error.message : String(error)}`);
}

function nodeRefused(url: string, error: unknown): ApiError {
  if (!(error instanceof HostError) || !error.code.startsWith("HTTP_")) return unreachable(url, error);
  const reasons: Readonly<Record<string, string>> = { HTTP_400: "BadRequest", HTTP_403: "Forbidden", HTTP_404: "NotFound" };
  return new ApiError(reasons[error.code] ?? "InternalError", error.message.slice(error.message.indexOf(": ", url.length) + 2).trim());
}
