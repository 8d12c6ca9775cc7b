/**
 * nftables objects as plain values: the small part of nft's language that Weft emits, and nothing else, so that what is
 * emitted can also be read back (parse.ts), compared (diff.ts) and walked by a packet that does not exist
 * (decide/packet). A new kind of rule needs a case in each of them; the compiler finds those that were forgotten.
 */
export type Family = "ip" | "ip6" | "inet";

/** What a rule can look at, in nft's own words. */
export const FIELDS = [
  "ip saddr",
  "ip daddr",
  "ip6 saddr",
  "ip6 daddr",
  "ether saddr",
  "meta l4proto",
  "th dport",
  "iifname",
  "oifname",
  "meta mark",
  "meta skuid",
  "ct state",
  "ct status",
  "ct direction",
  "ct mark",
] as const;
export type Field = (typeof FIELDS)[number];

export const HOOKS = ["prerouting", "input", "forward", "output", "postrouting"] as const;
export type Hook = (typeof HOOKS)[number];

export interface Table {
  readonly family: Family;
  readonly name: string;
  readonly sets: readonly NamedSet[];
  readonly maps: readonly NamedMap[];
  readonly chains: readonly Chain[];
}

export interface NamedSet {
  readonly name: string;
  /** Concatenated. */
  readonly key: readonly Field[];
  /** Elements may be ranges and prefixes. */
  readonly interval: boolean;
  readonly elements: readonly SetElement[];
}

export interface SetElement {
  /** One part for each field of the key, as nft writes it. */
  readonly key: readonly string[];
  readonly comment?: string;
}

export interface NamedMap {
  readonly name: string;
  readonly key: readonly Field[];
  /** The key ends in an index that `numgen` makes: an endpoint's number. */
  readonly numbered: boolean;
  /** An endpoint is an address and a port of that protocol to send to; a mark is a connection's. */
  readonly data: "verdict" | "tcp endpoint" | "udp endpoint" | "mark";
  /** Packets fill it, with a time to live each, up to this many; then `elements` is empty. */
  readonly learns?: number;
  readonly elements: readonly MapElement[];
}

export interface MapElement extends SetElement {
  readonly value: Verdict | readonly string[];
}

export interface Chain {
  readonly name: string;
  /** Absent: only reached by jump, goto or a verdict map. */
  readonly base?: BaseChain;
  readonly rules: readonly Rule[];
}

export interface BaseChain {
  readonly type: "filter" | "nat" | "route";
  readonly hook: Hook;
  readonly priority: number;
  readonly policy: "accept" | "drop";
}

export interface Rule {
  readonly matches: readonly Match[];
  /** In order; a verdict can only be the last. A rule without a verdict ends, for who reads it back, in its comment. */
  readonly statements: readonly Statement[];
  readonly comment?: string;
}

export type Match =
  /** `values`: any of them ("10.0.0.0/8", "8000-8100", "weft*"). */
  | { readonly kind: "value"; readonly field: Field; readonly not: boolean; readonly values: readonly string[] }
  | { readonly kind: "set"; readonly fields: readonly Field[]; readonly not: boolean; readonly set: string };

export type Verdict =
  | { readonly kind: "accept" }
  | { readonly kind: "drop" }
  | { readonly kind: "return" }
  | { readonly kind: "jump"; readonly chain: string }
  | { readonly kind: "goto"; readonly chain: string };

export type Statement =
  | Verdict
  | { readonly kind: "vmap"; readonly fields: readonly Field[]; readonly map: string }
  /** Destination NAT to what the map has for these fields and the drawn number. */
  | ({ readonly kind: "dnat" } & Draw)
  /** The connection's mark becomes what the map has for these fields and the drawn number. */
  | ({ readonly kind: "mark" } & Draw)
  /** The map learns (or keeps for so long again) the connection's mark for these fields. */
  | { readonly kind: "learn"; readonly fields: readonly Field[]; readonly map: string; readonly seconds: number }
  | { readonly kind: "unlearn"; readonly fields: readonly Field[]; readonly map: string }
  | { readonly kind: "redirect"; readonly port: number }
  | { readonly kind: "masquerade" }
  | { readonly kind: "reject"; readonly with: "tcp reset" | "icmp type port-unreachable" }
  /** `prefix`: at most 127 bytes, the kernel's NF_LOG_PREFIXLEN without its terminating zero. */
  | { readonly kind: "log"; readonly prefix: string; readonly group: number };

/** A look-up by fields and, unless `modulo` is absent, a random number from `offset` (or 0) on, `modulo` of them. */
export interface Draw {
  readonly fields: readonly Field[];
  readonly modulo?: number;
  readonly offset?: number;
  readonly map: string;
}

/** As elements of maps have it. */
export function markText(mark: number): string {
  return `0x${mark.toString(16).padStart(8, "0")}`;
}

export function is(field: Field, ...values: readonly string[]): Match {
  return { kind: "value", field, not: false, values };
}

export function isNot(field: Field, ...values: readonly string[]): Match {
  return { kind: "value", field, not: true, values };
}

export function inSet(fields: readonly Field[], set: string): Match {
  return { kind: "set", fields, not: false, set };
}

export function notInSet(fields: readonly Field[], set: string): Match {
  return { kind: "set", fields, not: true, set };
}
