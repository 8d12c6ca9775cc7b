/** What a URL asks for: a resource, a name, a subresource, a verb. */
import { findResource, type KindInfo } from "#model/kinds.ts";

export interface ResourceRequest {
  readonly info: KindInfo;
  readonly version: string;
  /** undefined: all namespaces, or a cluster-scoped kind. */
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
  /** Path after `proxy/`. */
  readonly rest: string;
  readonly verb: string;
}

/** Kinds that are only posted, never stored. */
export interface ReviewRequest {
  readonly review: string;
}

export type Route = ResourceRequest | ReviewRequest | undefined;

const verbs: Readonly<Record<string, string>> = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" };

/** undefined: no such path. */
export function routeOf(method: string, path: string, query: URLSearchParams): Route {
  const parts = path.split("/").slice(1).map(decode);
  const root = parts.shift();
  if (root !== "api" && root !== "apis") return undefined;
  const group = root === "api" ? "" : parts.shift();
  const version = parts.shift();
  if (group === undefined || version === undefined || parts.length === 0) return undefined;
  // The old way to ask for a watch: /api/v1/watch/pods.
  const isOldWatch = parts[0] === "watch" && parts.length > 1;
  if (isOldWatch) parts.shift();
  let namespace: string | undefined;
  // /namespaces/x is the namespace itself, /namespaces/x/pods something in it; /namespaces/x/status and finalize its subresources.
  if (parts[0] === "namespaces" && parts.length > 2 && !(group === "" && ["status", "finalize"].includes(parts[2] ?? "") && parts.length === 3)) {
    namespace = parts[1];
    parts.splice(0, 2);
  }
  const [plural = "", name, subresource, ...rest] = parts;
  if (plural.startsWith("self") && method === "POST") return { review: `${group}/${plural}` };
  const info = findResource(group, plural);
  if (info === undefined || !info.versions.includes(version)) return undefined;
  if (namespace !== undefined && !info.namespaced) return undefined;
  return { info, version, namespace, name, subresource, rest: rest.join("/"), verb: isOldWatch ? "watch" : verbOf(method, name, subresource, query) };
}

function verbOf(method: string, name: string | undefined, subresource: string | undefined, query: URLSearchParams): string {
  if (method !== "GET" && method !== "HEAD") return method === "DELETE" && name === undefined ? "deletecollection" : (verbs[method] ?? method.toLowerCase());
  if (name !== undefined || subresource !== undefined) return "get";
  return ["1", "true"].includes(query.get("watch") ?? "") ? "watch" : "list";
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
