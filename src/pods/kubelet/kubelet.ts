/**
 * The HTTPS interface that the API server reaches a node's pods by (kubelet's paths, port 10250): logs, exec, health,
 * metrics. Only for client certificates of the control plane: whoever may ask here may run commands in every pod.
 */
import type { Host } from "#host/host.ts";
import type { HttpExchange, HttpPeer, HttpServer, HttpUpgrade } from "#host/http.ts";
import { commandInContainer } from "#pods/container-access.ts";
import { readLog, type LogOptions } from "#pods/logs.ts";
import type { PodWorker } from "#pods/pod.ts";
import { containerFiles } from "#pods/settings.ts";
import { parseExecQuery, serveExec } from "./exec.ts";

export const kubeletPort = 10250;

export interface KubeletOptions {
  readonly host: Pick<Host, "clock" | "files" | "http" | "processes">;
  readonly address: string;
  readonly tls: { readonly certificate: string; readonly privateKey: string; readonly clientCa: string };
  find(namespace: string, name: string): PodWorker | undefined;
  health(): { readonly ok: boolean; readonly text: string };
  metrics(): string;
}

const masters = "system:masters";
const plain = { "content-type": "text/plain; charset=utf-8" };

export function serveKubelet(options: KubeletOptions): Promise<HttpServer> {
  return options.host.http.serve(
    { address: { ip: options.address, port: kubeletPort }, tls: options.tls },
    {
      onRequest(exchange) {
        void answer(options, exchange).catch((error: unknown) => exchange.respond(500, plain, `${String(error)}\n`));
      },
      onUpgrade(upgrade) {
        void exec(options, upgrade).catch((error: unknown) => upgrade.refuse(500, plain, `${error instanceof Error ? error.message : String(error)}\n`));
      },
    },
  );
}

async function answer(options: KubeletOptions, exchange: HttpExchange): Promise<void> {
  const url = new URL(exchange.url, "https://node");
  const refusal = refusalFor(exchange.peer);
  if (refusal !== undefined) return exchange.respond(refusal.status, plain, refusal.text);
  const [top, ...rest] = parts(url);
  if (top === "healthz") {
    const { ok, text } = options.health();
    return exchange.respond(ok ? 200 : 500, plain, text);
  }
  if (top === "metrics") return exchange.respond(200, { "content-type": "text/plain; version=0.0.4" }, options.metrics());
  if (top === "containerLogs") return logs(options, exchange, url, rest);
  exchange.respond(404, plain, `no such path: ${url.pathname}; there are /containerLogs, /exec, /healthz and /metrics\n`);
}

function refusalFor(peer: HttpPeer): { readonly status: number; readonly text: string } | undefined {
  if (peer.certificate === undefined)
    return {
      status: 401,
      text: `a client certificate of the cluster's CA is required${peer.certificateProblem === undefined ? "" : `: ${peer.certificateProblem}`}\n`,
    };
  if (peer.certificate.organizations.includes(masters)) return undefined;
  return { status: 403, text: `${peer.certificate.commonName} may not use this node's pods: its certificate is not of the group ${masters}\n` };
}

function parts(url: URL): string[] {
  return url.pathname
    .split("/")
    .filter((part) => part !== "")
    .map(decodeURIComponent);
}

async function logs(options: KubeletOptions, exchange: HttpExchange, url: URL, path: readonly string[]): Promise<void> {
  const [namespace = "", name = "", containerName = ""] = path;
  const worker = options.find(namespace, name);
  const runner = worker?.runner(containerName);
  if (worker === undefined || runner === undefined)
    return refuse(exchange, 404, "NotFound", `container ${containerName} of pod ${namespace}/${name} is not on this node`);
  const previous = isTrue(url.searchParams.get("previous"));
  const attempt = previous ? runner.attempt - 1 : runner.attempt;
  if (attempt < 0) {
    const text = previous
      ? `previous terminated container "${containerName}" in pod "${name}" not found`
      : `container "${containerName}" in pod "${name}" is waiting to start: ${waitingWords(runner)}`;
    return refuse(exchange, 400, "BadRequest", text);
  }
  const file = containerFiles(worker.context.paths, containerName, attempt).log;
  const stopped = new AbortController();
  const stream = exchange.stream(200, plain, () => stopped.abort(new Error("the client went away")));
  const isOver = (): boolean => runner.attempt !== attempt || runner.process === undefined;
  const print = async (): Promise<void> => {
    for await (const chunk of readLog(options.host, file, parseLogQuery(url.searchParams, options.host.clock.now()), { isOver, signal: stopped.signal })) {
      stream.write(chunk);
    }
    stream.end();
  };
  const printing = print();
  worker.reading(printing);
  await printing;
}

/** As a Status, which the API server passes on as it is and kubectl prints in words. */
function refuse(exchange: HttpExchange, code: number, reason: string, message: string): void {
  const status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code };
  exchange.respond(code, { "content-type": "application/json" }, `${JSON.stringify(status)}\n`);
}

export function parseLogQuery(query: URLSearchParams, nowMs: number): LogOptions {
  const count = (name: string): number | undefined => {
    const value = Number.parseInt(query.get(name) ?? "", 10);
    return Number.isNaN(value) || value < 0 ? undefined : value;
  };
  const seconds = count("sinceSeconds");
  const time = Date.parse(query.get("sinceTime") ?? "");
  return {
    follow: isTrue(query.get("follow")),
    timestamps: isTrue(query.get("timestamps")),
    tailLines: count("tailLines"),
    sinceMs: seconds !== undefined ? nowMs - seconds * 1000 : Number.isNaN(time) ? undefined : time,
    limitBytes: count("limitBytes"),
  };
}

function isTrue(value: string | null): boolean {
  return value === "true" || value === "1";
}

/** kubelet's words. */
function waitingWords(runner: { view(): { state: { waiting?: { reason?: string } } } }): string {
  const reason = runner.view().state.waiting?.reason ?? "ContainerCreating";
  return ["ErrImagePull", "ImagePullBackOff"].includes(reason) ? "trying and failing to pull image" : reason;
}

async function exec(options: KubeletOptions, upgrade: HttpUpgrade): Promise<void> {
  const url = new URL(upgrade.url, "https://node");
  const refusal = refusalFor(upgrade.peer);
  if (refusal !== undefined) return upgrade.refuse(refusal.status, plain, refusal.text);
  const [top, namespace = "", name = "", containerName = ""] = parts(url);
  const worker = options.find(namespace, name);
  const runner = worker?.runner(containerName);
  if (top !== "exec") return upgrade.refuse(404, plain, `no such path: ${url.pathname}\n`);
  if (worker === undefined || runner === undefined)
    return upgrade.refuse(404, plain, `container ${containerName} of pod ${namespace}/${name} is not on this node\n`);
  const request = parseExecQuery(url.searchParams);
  if (request.command.length === 0) return upgrade.refuse(400, plain, "you must specify at least one command for the container\n");
  const ready = await commandInContainer(worker.context, runner.options.container, runner.process, { command: request.command, terminal: request.tty });
  serveExec(options.host.processes, upgrade, request, ready);
}
