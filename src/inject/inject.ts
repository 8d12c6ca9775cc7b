/**
 * The injector as a webhook: a Pod that is about to be created comes as an AdmissionReview (admission.k8s.io/v1), the answer
 * is a JSON patch that adds the proxy, or a refusal that names the field. What is added is decided in compile/inject; the
 * MutatingWebhookConfiguration that sends pods here is the installation's.
 *
 * No answer means that a pod is not created (failurePolicy Fail): every request gets one, whatever is in it.
 */
import { injectProxy } from "#compile/inject/inject.ts";
import type { InjectionForm } from "#compile/inject/inject.ts";
import type { Injection } from "#compile/inject/injection.ts";
import { proxyKindOf } from "#compile/inject/proxy-kind.ts";
import { refusals } from "#compile/inject/proxy-uid.ts";
import type { Host } from "#host/host.ts";
import type { HttpExchange, HttpServer, ServingCertificate } from "#host/http.ts";
import type { StreamAddress } from "#host/net.ts";
import { jsonPatch } from "#lib/json-patch-diff.ts";
import type { Namespace, Pod } from "#model/core.ts";
import { isRecord } from "#model/decode.ts";
import { formatProblem } from "#model/problem.ts";
import type { Log } from "#run/log.ts";

export interface InjectorOptions {
  readonly address: StreamAddress;
  readonly tls: ServingCertificate;
  readonly form: InjectionForm;
  readonly namespaceOf: (name: string) => Promise<Namespace | undefined>;
  readonly log: Log;
  /** Counts what was answered. */
  readonly answered?: (how: InjectorAnswer) => void;
}

export type InjectorAnswer = "injected" | "left alone" | "refused" | "malformed" | "failed";

interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patchType?: "JSONPatch";
  readonly patch?: string;
  readonly warnings?: readonly string[];
  readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
}

const PATH = "/inject";
const API_VERSION = "admission.k8s.io/v1";

export function startInjector(host: Pick<Host, "http">, options: InjectorOptions): Promise<HttpServer> {
  const { address, tls } = options;
  return host.http.serve({ address, tls }, { onRequest: (exchange) => void serve(options, exchange) });
}

async function serve(options: InjectorOptions, exchange: HttpExchange): Promise<void> {
  const text = (status: number, body: string): void => {
    options.answered?.("malformed");
    exchange.respond(status, { "content-type": "text/plain; charset=utf-8" }, `${body}\n`);
  };
  try {
    const { pathname } = new URL(exchange.url, "https://injector");
    if (pathname !== PATH) return text(404, `there is no ${pathname} here; ${PATH} is`);
    if (exchange.method !== "POST") return text(405, `method ${exchange.method} is not allowed; POST is`);
    const review = parsed(await exchange.body());
    const request = isRecord(review) && review["apiVersion"] === API_VERSION ? review["request"] : undefined;
    if (!isRecord(request) || typeof request["uid"] !== "string")
      return text(400, `the body is no AdmissionReview of ${API_VERSION} with a request and its uid`);
    const { uid } = request;
    const response = await answer(options, uid, request);
    exchange.respond(200, { "content-type": "application/json" }, JSON.stringify({ apiVersion: API_VERSION, kind: "AdmissionReview", response }));
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === "EMSGSIZE") return text(413, "the body is larger than the API server's own limit");
    options.log.warn("a request to the injector broke off", { error });
    text(400, "the request could not be read");
  }
}

async function answer(options: InjectorOptions, uid: string, request: Readonly<Record<string, unknown>>): Promise<AdmissionResponse> {
  const { log, answered } = options;
  const say = (how: InjectorAnswer, response: Omit<AdmissionResponse, "uid">): AdmissionResponse => {
    answered?.(how);
    return { uid, ...response };
  };
  const asked = podIn(request);
  if (asked === undefined) return say("left alone", { allowed: true });
  const { pod } = asked;
  const name = `Pod ${pod.metadata.namespace ?? ""}/${pod.metadata.name ?? `${pod.metadata.generateName ?? ""}*`}`;
  try {
    const namespace = await options.namespaceOf(pod.metadata.namespace ?? "");
    const { pod: injected, problems, warnings } = asked.isNew ? injectProxy(pod, namespace, options.form) : debugged(pod);
    const told = warnings.length === 0 ? {} : { warnings };
    if (problems.length > 0) {
      const message = `the sidecar cannot be injected: ${problems.map(formatProblem).join("; ")}`;
      log.info("refused a pod", { object: name, message });
      return say("refused", { allowed: false, ...told, status: { code: 422, reason: "Invalid", message } });
    }
    const patch = jsonPatch(pod, injected);
    if (patch.length === 0) return say("left alone", { allowed: true, ...told });
    return say("injected", { allowed: true, ...told, patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") });
  } catch (error) {
    log.error("the injector failed, so the pod was refused", { object: name, error });
    const message = `the sidecar cannot be injected: ${error instanceof Error ? error.message : String(error)}; a pod with the label sidecar.istio.io/inject: "false" is created without it`;
    return say("failed", { allowed: false, status: { code: 500, reason: "InternalError", message } });
  }
}

function debugged(pod: Pod): Injection {
  return { pod, problems: proxyKindOf(pod) === undefined ? [] : refusals(pod), warnings: [] };
}

interface AskedPod {
  readonly pod: Pod;
  /** Else it runs already, and gets an ephemeral container (kubectl debug), which must not pass for the proxy either. */
  readonly isNew: boolean;
}

/** In the namespace of the request; undefined: neither a Pod's creation nor a new container in it. */
function podIn({ operation, object, namespace, resource, subResource = "" }: Readonly<Record<string, unknown>>): AskedPod | undefined {
  const isPods = !isRecord(resource) || (resource["resource"] === "pods" && (resource["group"] ?? "") === "");
  const isNew = operation === "CREATE" && subResource === "";
  const isDebugged = operation === "UPDATE" && subResource === "ephemeralcontainers";
  if (!(isNew || isDebugged) || !isPods || !isRecord(object) || object["kind"] !== "Pod") return undefined;
  const { metadata, spec } = object;
  if (!isRecord(metadata) || !isRecord(spec) || !Array.isArray(spec["containers"])) return undefined;
  const place = metadata["namespace"] ?? namespace;
  return { isNew, pod: { ...object, metadata: { ...metadata, ...(typeof place === "string" ? { namespace: place } : {}) } } as unknown as Pod };
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    return undefined;
  }
}
