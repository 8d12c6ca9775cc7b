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
  /** Of what goes to this destination, beside the route's own. */
  readonly headers?: HeaderChanges;
  readonly by: Provenance;
}

/** How the path changes before the request goes on. */
export type PathRewrite =
  /** What the route's path match consumed is replaced. */
  { readonly kind: "prefix"; readonly value: string } | { readonly kind: "full"; readonly value: string };

export interface Rewrite {
  readonly path?: PathRewrite;
  readonly host?: string;
}

export interface Redirect {
  readonly scheme?: string;
  readonly host?: string;
  readonly port?: number;
  readonly path?: PathRewrite;
  readonly status: number;
}

export type RouteAction =
  | { readonly kind: "forward"; readonly destinations: readonly Destination[]; readonly timeoutMs: number; readonly rewrite?: Rewrite }
  | { readonly kind: "redirect"; readonly redirect: Redirect }
  /** The proxy answers itself: because it is told to, or because no destination can be used, which the answer then says. */
  | { readonly kind: "answer"; readonly status: number; readonly body: string };

export interface HeaderChange {
  readonly set: readonly (readonly [string, string])[];
  readonly add: readonly (readonly [string, string])[];
  readonly remove: readonly string[];
}

export interface HeaderChanges {
  readonly request?: HeaderChange;
  readonly response?: HeaderChange;
}

export interface MeshRoute {
  readonly name?: string;
  readonly match: RequestMatch;
  readonly action: RouteAction;
  readonly headers?: HeaderChanges;
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
