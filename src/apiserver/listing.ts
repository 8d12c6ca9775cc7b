/** Lists, whole or in pages. A page's rest is kept, so that all pages show one moment. */
import type { KubeObject } from "#model/object.ts";
import type { Place } from "./registry.ts";
import type { Selection } from "./selection.ts";
import { ApiError, badRequest } from "./status.ts";
import type { Store } from "./store.ts";
import { byName } from "./watch.ts";

export interface Listed {
  readonly objects: readonly KubeObject[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

interface Rest {
  readonly objects: readonly KubeObject[];
  readonly revision: number;
}

/** Lists in progress; a client that comes back later than this many others starts again (410, as Kubernetes after 5 minutes). */
const MAX_UNFINISHED = 64;

export class Lists {
  readonly #store: Store;
  readonly #unfinished = new Map<string, Rest>();
  #next = 1;

  constructor(store: Store) {
    this.#store = store;
  }

  list(place: Place, selection: Selection, query: URLSearchParams): Listed {
    const limit = Number(query.get("limit") ?? 0);
    if (!Number.isInteger(limit) || limit < 0) throw badRequest(`limit: Invalid value: ${JSON.stringify(query.get("limit"))}: must be a whole number`);
    const token = query.get("continue") ?? "";
    if (token === "") this.#checkRevision(query);
    const { objects, revision } = token === "" ? this.#everything(place, selection) : this.#resume(token);
    const page = limit === 0 ? objects : objects.slice(0, limit);
    const rest = objects.slice(page.length);
    const paging = rest.length === 0 ? {} : { continue: this.#keep({ objects: rest, revision }), remainingItemCount: rest.length };
    return { objects: page, metadata: { resourceVersion: String(revision), ...paging } };
  }

  #everything(place: Place, selection: Selection): Rest {
    return { objects: [...this.#store.all(place.info.id)].filter(selection).toSorted(byName), revision: this.#store.revision };
  }

  /** Everything is in memory and current: only a revision of the future cannot be served. */
  #checkRevision(query: URLSearchParams): void {
    const asked = Number(query.get("resourceVersion") ?? 0);
    if (!Number.isInteger(asked)) throw badRequest(`resourceVersion: Invalid value: ${JSON.stringify(query.get("resourceVersion"))}: must be a whole number`);
    if (asked > this.#store.revision) throw new ApiError("Expired", `Too large resource version: ${asked}, current: ${this.#store.revision}`);
    if (query.get("resourceVersionMatch") === "Exact" && asked !== this.#store.revision)
      throw new ApiError("Expired", `the resource version ${asked} is no longer held`);
  }

  #keep(rest: Rest): string {
    const token = Buffer.from(JSON.stringify({ v: "weft", id: this.#next++, rv: rest.revision })).toString("base64url");
    this.#unfinished.set(token, rest);
    const [oldest] = this.#unfinished.keys();
    if (this.#unfinished.size > MAX_UNFINISHED && oldest !== undefined) this.#unfinished.delete(oldest);
    return token;
  }

  #resume(token: string): Rest {
    const rest = this.#unfinished.get(token);
    if (rest !== undefined) return rest;
    throw new ApiError(
      "Expired",
      "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
    );
  }
}
