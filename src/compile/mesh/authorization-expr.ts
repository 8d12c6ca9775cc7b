/** Conditions of an AuthorizationPolicy rule in a form that Envoy's RBAC can say. */

export interface TextPattern {
  /** "any": some non-empty text. */
  readonly kind: "exact" | "prefix" | "suffix" | "regex" | "any";
  readonly value: string;
  readonly ignoreCase?: boolean;
}

export type Leaf =
  /** The peer's SPIFFE URI; without mTLS it has none and nothing matches. */
  | { readonly is: "principal"; readonly text: TextPattern }
  /** The address of the connection. */
  | { readonly is: "sourceIp"; readonly cidr: string }
  /** The address of the client, from X-Forwarded-For where it is trusted. */
  | { readonly is: "remoteIp"; readonly cidr: string }
  | { readonly is: "destinationIp"; readonly cidr: string }
  | { readonly is: "port"; readonly port: number }
  | { readonly is: "sni"; readonly text: TextPattern }
  /** `:method` and `:authority` too. */
  | { readonly is: "header"; readonly name: string; readonly text: TextPattern }
  | { readonly is: "path"; readonly text: TextPattern };

export type Expr =
  | Leaf
  | { readonly is: "all"; readonly of: readonly Expr[] }
  | { readonly is: "some"; readonly of: readonly Expr[] }
  | { readonly is: "not"; readonly of: Expr };

export const always: Expr = { is: "all", of: [] };
export const never: Expr = { is: "some", of: [] };

export function all(parts: readonly Expr[]): Expr {
  const needed = parts.filter((part) => part !== always);
  const [only] = needed;
  if (needed.includes(never)) return never;
  return only === undefined ? always : needed.length === 1 ? only : { is: "all", of: needed };
}

export function some(parts: readonly Expr[]): Expr {
  const possible = parts.filter((part) => part !== never);
  const [only] = possible;
  if (possible.includes(always)) return always;
  return only === undefined ? never : possible.length === 1 ? only : { is: "some", of: possible };
}

/** Istio's patterns: "abc", "abc*", "*abc", "*". */
export function textPattern(written: string): TextPattern {
  if (written === "*") return { kind: "any", value: "" };
  if (written.startsWith("*")) return { kind: "suffix", value: written.slice(1) };
  return written.endsWith("*") ? { kind: "prefix", value: written.slice(0, -1) } : { kind: "exact", value: written };
}
