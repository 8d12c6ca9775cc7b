/** What Istio's definitions demand across fields (upstream writes them in CEL). */
import { alsoInCel, duration, having, type RuleBreach } from "./schema.ts";

const unitMs: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, "\u00b5s": 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** What is no duration at all is said by its format. */
function atLeastAMillisecond(value: string): RuleBreach | undefined {
  const parts = [...value.matchAll(/([0-9.]+)(ns|us|\u00b5s|ms|s|m|h)/g)];
  const milliseconds = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitMs[unit ?? ""] ?? 0), 0);
  const isLong = milliseconds >= 1 && !value.startsWith("-");
  return isLong || (parts.length === 0 && value !== "0") ? undefined : { field: "", message: "must be a valid duration greater than 1ms" };
}

/** A duration of something: not zero. */
export const period = having(duration, { rules: [atLeastAMillisecond] });

export const labelKeysWithoutWildcards = alsoInCel(
  (value: Readonly<Record<string, unknown>>): RuleBreach | undefined => {
    const keys = Object.keys(value);
    if (keys.includes("")) return { field: "", message: "key must not be empty" };
    return keys.some((key) => key.includes("*")) ? { field: "", message: "wildcard not allowed in label key match" } : undefined;
  },
  ["self.all(key, size(key) > 0)", "key must not be empty"],
  ["self.all(key, !key.contains('*'))", "wildcard not allowed in label key match"],
);

export const noWildcard = alsoInCel(
  (value: string): RuleBreach | undefined => {
    return value.includes("*") ? { field: "", message: "wildcard not allowed in label value match" } : undefined;
  },
  ["!self.contains('*')", "wildcard not allowed in label value match"],
);

/** In CEL, as sums: a server counts what a list would cost at most, and refuses definitions that could cost too much. */
function atMostOneIsSet(...fields: readonly string[]): string {
  return `${fields.map((field) => `(has(self.${field}) ? 1 : 0)`).join(" + ")} <= 1`;
}

export function onlyOneOf(...fields: readonly string[]) {
  const check = (value: Readonly<Record<string, unknown>>): RuleBreach | undefined => {
    const set = fields.filter((field) => value[field] !== undefined);
    return set.length <= 1 ? undefined : { field: "", message: `only one of ${set.join(" or ")} can be set` };
  };
  return alsoInCel(check, [atMostOneIsSet(...fields), `only one of ${fields.join(" or ")} can be set`]);
}

export const oneWayToSelect = alsoInCel(
  (value: { readonly selector?: unknown; readonly targetRef?: unknown; readonly targetRefs?: unknown }): RuleBreach | undefined => {
    const set = [value.selector, value.targetRef, value.targetRefs].filter((each) => each !== undefined);
    return set.length <= 1 ? undefined : { field: "", message: "only one of targetRefs or selector can be set" };
  },
  [atMostOneIsSet("selector", "targetRef", "targetRefs"), "only one of targetRefs or selector can be set"],
);

export const portKeys = alsoInCel(
  (value: Readonly<Record<string, unknown>>): RuleBreach | undefined => {
    const bad = Object.keys(value).find((key) => !/^[1-9][0-9]{0,4}$/.test(key) || Number(key) > 65535);
    return bad === undefined ? undefined : { field: "", message: `port must be between 1-65535, got ${JSON.stringify(bad)}` };
  },
  ["self.all(key, key.matches('^[1-9][0-9]{0,4}$') && int(key) <= 65535)", "port must be between 1-65535"],
);

export const portLevelNeedsSelector = alsoInCel(
  (value: { readonly portLevelMtls?: unknown; readonly selector?: { readonly matchLabels?: object } }): RuleBreach | undefined => {
    if (value.portLevelMtls === undefined || Object.keys(value.selector?.matchLabels ?? {}).length > 0) return undefined;
    return { field: "", message: "portLevelMtls requires selector" };
  },
  [
    "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0)",
    "portLevelMtls requires selector",
  ],
);

export const noOtherNamespace = alsoInCel(
  (value: string): RuleBreach | undefined => {
    return value === "" ? undefined : { field: "", message: "cross namespace referencing is not currently supported" };
  },
  ["size(self) == 0", "cross namespace referencing is not currently supported"],
);

export const accountsAlone = alsoInCel(
  (value: Readonly<Record<string, unknown>>): RuleBreach | undefined => {
    const has = (...fields: readonly string[]) => fields.some((field) => value[field] !== undefined);
    if (!has("serviceAccounts", "notServiceAccounts")) return undefined;
    if (!has("principals", "notPrincipals", "namespaces", "notNamespaces")) return undefined;
    return { field: "", message: "Cannot set serviceAccounts with namespaces or principals" };
  },
  [
    "!(has(self.serviceAccounts) || has(self.notServiceAccounts)) || !(has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces))",
    "Cannot set serviceAccounts with namespaces or principals",
  ],
);
