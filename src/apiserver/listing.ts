/** Lists, whole or in pages. A page's rest is kept, so that all pages show one moment. */
import type { KubeObject } from "#model/object.ts";
import type { Place } from "./registry.ts";
import type { Selection } from "./selection.ts";
import { ApiError, badRequest } from "./status.ts";
import type { Store } from "./store.ts";

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

  /** Everything is in memory and current: only now can be served, which is not older than any revision of the past. */
  #checkRevision(query: URLSearchParams): void {
    const asked = revisionOf(query.get("resourceVersion") ?? "");
    const match = query.get("resourceVersionMatch") ?? "";
    if (match !== "" && asked === undefined) throw forbiddenOption("resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (match !== "" && match !== "Exact" && match !== "NotOlderThan") {
      throw badRequest(`resourceVersionMatch: Unsupported value: ${JSON.stringify(match)}: supported values: "Exact", "NotOlderThan"`);
    }
    if (match === "Exact" && asked === 0) throw forbiddenOption('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
    const current = this.#store.revision;
    if ((asked ?? 0) > current) {
      throw new ApiError("Timeout", `Timeout: Too large resource version: ${asked}, current: ${current}`, {
        causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
        retryAfterSeconds: 1,
      });
    }
    if (match === "Exact" && asked !== current) throw new ApiError("Expired", "The resourceVersion for the provided list is too old.");
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
    if (!isToken(token)) throw badRequest(`invalid continue token: continue key is not valid: ${JSON.stringify(token)} was not given by this server`);
    throw new ApiError(
      "Expired",
      "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
    );
  }
}

export function byName(a: KubeObject, b: KubeObject): number {
  const [x, y] = [`${a.metadata.namespace ?? ""}/${a.metadata.name}`, `${b.metadata.namespace ?? ""}/${b.metadata.name}`];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** undefined: none was given. */
export function revisionOf(text: string): number | undefined {
  if (text === "") return undefined;
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw badRequest(`invalid resource version: resourceVersion: Invalid value: ${JSON.stringify(text)}: must be a whole number`);
}

export function forbiddenOption(why: string): ApiError {
  return new ApiError("Invalid", `ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: ${why}`, {
    group: "meta.k8s.io",
    kind: "ListOptions",
    causes: [{ reason: "FieldValueForbidden", message: `Forbidden: ${why}`, field: "resourceVersionMatch" }],
  });
}

function isToken(text: string): boolean {
  try {
    return (JSON.parse(Buffer.from(text, "base64url").toString("utf8")) as { readonly v?: unknown } | null)?.v === "weft";
  } catch {
    return false;
  }
}
