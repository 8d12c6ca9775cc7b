/** Whether a server has a kind at all: a cluster may not have, or not yet have, the definitions of Gateway API or of Istio's kinds. */
import type { Clock } from "#host/clock.ts";
import { KINDS, storedApiVersion, type KindId } from "#model/kinds.ts";
import { isNotFound } from "./api-error.ts";
import type { ApiClient } from "./client.ts";

/** All kinds of one group and version are in one answer, which is asked for once for all that wait. */
const ANSWER_HOLDS_MS = 2_000;

export class ServedKinds {
  readonly #api: Pick<ApiClient, "request">;
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #answers = new Map<string, { readonly atMs: number; readonly plurals: Promise<ReadonlySet<string>> }>();

  constructor(api: Pick<ApiClient, "request">, clock: Pick<Clock, "monotonic">) {
    this.#api = api;
    this.#clock = clock;
  }

  async has(kind: KindId): Promise<boolean> {
    const info = KINDS[kind];
    return (await this.#pluralsOf(storedApiVersion(info))).has(info.plural);
  }

  #pluralsOf(apiVersion: string): Promise<ReadonlySet<string>> {
    const atMs = this.#clock.monotonic();
    const known = this.#answers.get(apiVersion);
    if (known !== undefined && atMs - known.atMs < ANSWER_HOLDS_MS) return known.plurals;
    const plurals = this.#ask(apiVersion);
    this.#answers.set(apiVersion, { atMs, plurals });
    return plurals;
  }

  async #ask(apiVersion: string): Promise<ReadonlySet<string>> {
    try {
      const response = await this.#api.request("GET", `${apiVersion.includes("/") ? "/apis" : "/api"}/${apiVersion}`, { timeoutMs: 30_000 });
      const { resources = [] } = JSON.parse(await response.text()) as { readonly resources?: readonly { readonly name: string }[] };
      return new Set(resources.map(({ name }) => name));
    } catch (error) {
      if (isNotFound(error)) return new Set();
      throw error;
    }
  }
}
