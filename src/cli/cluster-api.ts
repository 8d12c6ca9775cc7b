/** The cluster's API as the admin, for what `weft` itself asks: a few requests, no watches. */
import { HostError } from "#host/host-error.ts";
import type { Host } from "#host/host.ts";
import type { HttpRequestOptions, HttpResponse } from "#host/http.ts";

export interface ApiAccess {
  readonly url: string;
  readonly ca: string;
  readonly certificate: string;
  readonly privateKey: string;
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
    const { url, ca, certificate, privateKey } = this.#access;
    const response = await this.#send({
      method,
      url: url + path,
      tls: { ca, certificate, privateKey },
      timeoutMs: TIMEOUT_MS,
      headers: { accept: "application/json", ...(patch === undefined ? {} : { "content-type": patch.contentType }) },
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

  /** The answer's body; throws with the server's message when the status is not 2xx. */
  async get<T>(path: string): Promise<T> {
    const answer = await this.request("GET", path);
    if (answer.status >= 300) throw new Error(messageOf(answer));
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
