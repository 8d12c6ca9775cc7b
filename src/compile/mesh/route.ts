/**
 * HTTP routes as the mesh understands them, whichever kind of object they came from (VirtualService, HTTPRoute). No Envoy
 * types: compile/xds encodes them.
 */
import { regexProblem } from "./regex.ts";
import type { Provenance } from "#model/provenance.ts";

export interface TextMatch {
  readonly kind: "exact" | "prefix" | "regex";
  readonly value: string;
}

export interface PathMatch {
  /** "segments": a prefix that ends at a "/" or at the end. */
  readonly kind: "exact" | "prefix" | "segments" | "regex";
  readonly value: string;
  readonly ignoreCase?: boolean;
}

export interface NamedMatch {
  readonly name: string;
  /** Absent: it suffices that it is there. */
  readonly match?: TextMatch;
  readonly invert?: boolean;
}

/** All parts must hold. `:method` and `:authority` are headers here. */
export interface RequestMatch {
  /** Absent: every path. */
  readonly path?: PathMatch;
  readonly headers: readonly NamedMatch[];
  readonly query: readonly NamedMatch[];
}

export interface Destination {
  /** Host of a service; undefined: the reference cannot be used (its share is answered by `failure`). */
  readonly host: string | undefined;
  readonly port: number;
  readonly subset?: string;
  readonly weight: number;
  readonly by: Provenance;
}

export type RouteAction =
  | { readonly kind: "forward"; readonly destinations: readonly Destination[]; readonly timeoutMs: number }
  /** No destination can be used: the answer says why. */
  | { readonly kind: "answer"; readonly status: number; readonly body: string };

export interface MeshRoute {
  readonly name?: string;
  readonly match: RequestMatch;
  readonly action: RouteAction;
  /** Of the match, or of the route when it has none. */
  readonly by: Provenance;
}

export const everyRequest: RequestMatch = { headers: [], query: [] };

/** A match with an expression that cannot be read holds for nothing. */
export function isUsable({ path, headers, query }: RequestMatch): boolean {
  const texts = [path, ...headers.map(({ match }) => match), ...query.map(({ match }) => match)];
  return texts.every((text) => text?.kind !== "regex" || regexProblem(text.value) === undefined);
}

/** Nothing after a route that matches everything is ever reached. */
export function matchesEveryRequest({ path, headers, query }: RequestMatch): boolean {
  const everyPath = path === undefined || ((path.kind === "prefix" || path.kind === "segments") && path.value === "/");
  return everyPath && headers.length === 0 && query.length === 0;
}
