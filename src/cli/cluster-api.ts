/** The cluster's API, for what `weft` itself asks: a few requests, no watches. */
import { ApiRefusal, statusOf } from "#client/api-error.ts";
import type { ApiAccess as ClientAccess } from "#client/kubeconfig.ts";
import { HostError } from "#host/host-error.ts";
import type { Host } from "#host/host.ts";
import type { HttpRequestOptions, HttpResponse } from "#host/http.ts";

export interface ApiAccess extends ClientAccess {
  /** Where to look when no answer comes. */
  readonly log?: string;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
  /** Of Warning headers. */
  readonly warnings: readonly string[];
}

const TIMEOUT_MS = 10_000;

export class ClusterApi {
  readonly #host: Pick<Host, "http">;
  readonly #access: ApiAccess;

  constructor(host: Pick<Host, "http">, access: ApiAccess) {
    this.#host = host;
    this.#access = access;
  }

  /** Rejects with HostError when no answer came. */
  async request(method: string, path: string, patch?: { readonly body: unknown; readonly contentType: string }): Promise<ApiAnswer> {
    const { url, tls, token } = this.#access;
    const response = await this.#send({
      method,
      url: url + path,
      ...(tls === undefined ? {} : { tls }),
      timeoutMs: TIMEOUT_MS,
      headers: {
        accept: "application/json",
        "user-agent": "weft",
        ...(patch === undefined ? {} : { "content-type": patch.contentType }),
        ...(token === undefined ? {} : { authorization: `Bearer ${await token()}` }),
      },
      ...(patch === undefined ? {} : { body: JSON.stringify(patch.body) }),
    });
    const text = await response.text();
    return { status: response.status, body: parsed(text), warnings: warningsOf(response.headers["warning"]) };
  }

  async #send(options: HttpRequestOptions): Promise<HttpResponse> {
    const { log } = this.#access;
    try {
      return await this.#host.http.request(options);
    } catch (error) {
      if (log === undefined || !(error instanceof HostError)) throw error;
      throw new HostError(error.code, error.subject, `${error.message.slice(error.subject.length + 2)}; look into ${log}`, { cause: error });
    }
  }

  /** The answer's body; throws ApiRefusal with the server's message when the status is not 2xx. */
  async get<T>(path: string): Promise<T> {
    const answer = await this.request("GET", path);
    if (answer.status >= 300) throw new Refused(answer);
    return answer.body as T;
  }

  /** undefined when it is not there. */
  async find<T>(path: string): Promise<T | undefined> {
    const answer = await this.request("GET", path);
    if (answer.status === 404) return undefined;
    if (answer.status >= 300) throw new Refused(answer);
    return answer.body as T;
  }

  async list<T>(path: string): Promise<readonly T[]> {
    return (await this.get<{ readonly items?: readonly T[] }>(path)).items ?? [];
  }

  async isReady(): Promise<boolean> {
    try {
      return (await this.request("GET", "/readyz")).status === 200;
    } catch {
      return false;
    }
  }
}

/** Its message is the server's alone: callers say what they asked for. */
class Refused extends ApiRefusal {
  constructor(answer: ApiAnswer) {
    super("", statusOf(answer.status, typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body)));
    this.message = messageOf(answer);
  }
}

/** A Status's message, or what else the server said. */
export function messageOf(answer: ApiAnswer): string {
  const { body } = answer;
  if (typeof body === "object" && body !== null && "message" in body && typeof body.message === "string") return body.message;
  return `the API answered ${answer.status}${typeof body === "string" && body !== "" ? `: ${body.slice(0, 200)}` : ""}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** RFC 7234 5.5 as Kubernetes uses it: `299 - "text"`, several joined by commas. */
function warningsOf(header: string | undefined): readonly string[] {
  return [...(header ?? "").matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text]) => (text ?? "").replaceAll(/\\(.)/g, "$1"));
}
