/**
 * AuthorizationPolicy as Istio's reference describes it, written down once more without regard to how Weft does it: rules are
 * read from the manifest for each request. What Weft does not support counts as Istio counts HTTP's fields on a TCP port.
 */

export interface Call {
  /** "cluster.local/ns/shop/sa/web"; undefined: no mTLS. */
  readonly principal: string | undefined;
  readonly ip: string;
  readonly port: number;
  /** undefined: a TCP connection. */
  readonly http: { readonly method: string; readonly path: string; readonly host: string; readonly headers: Readonly<Record<string, string>> } | undefined;
}

type Lists = Readonly<Record<string, readonly string[] | undefined>>;

export interface Rule {
  readonly from?: readonly { readonly source: Lists }[];
  readonly to?: readonly { readonly operation: Lists }[];
  readonly when?: readonly { readonly key: string; readonly values?: readonly string[]; readonly notValues?: readonly string[] }[];
}

export interface Policy {
  readonly action: "ALLOW" | "DENY";
  readonly rules: readonly Rule[];
}

export function isAllowed(call: Call, policies: readonly Policy[]): boolean {
  const matches = ({ action, rules }: Policy): boolean => rules.some((rule) => ruleMatches(rule, action, call));
  if (policies.some((policy) => policy.action === "DENY" && matches(policy))) return false;
  const allowing = policies.filter(({ action }) => action === "ALLOW");
  return allowing.length === 0 || allowing.some(matches);
}

/** true, false, or "unknown": nobody can tell here. */
type Answer = boolean | "unknown";

function ruleMatches({ from = [], to = [], when = [] }: Rule, action: Policy["action"], call: Call): boolean {
  const answers = [
    from.map(({ source }) => fieldsOf(source).map(([name, values]) => fieldMatches(name, values, call))),
    to.map(({ operation }) => fieldsOf(operation).map(([name, values]) => fieldMatches(name, values, call))),
    when.length === 0 ? [] : [when.flatMap((condition) => conditionMatches(condition, call))],
  ];
  if (action === "ALLOW" && answers.flat(2).includes("unknown")) return false;
  return answers.every((alternatives) => alternatives.length === 0 || alternatives.some((parts) => parts.every((part) => part !== false)));
}

function fieldsOf(lists: Lists): readonly (readonly [string, readonly string[]])[] {
  return Object.entries(lists).flatMap(([name, values = []]) => (values.length === 0 ? [] : [[name, values] as const]));
}

function fieldMatches(name: string, values: readonly string[], call: Call): Answer {
  const negated = /^not[A-Z]/.test(name);
  const positive = negated ? name.charAt(3).toLowerCase() + name.slice(4) : name;
  return oneOf(values, negated, (value) => valueMatches(positive, value, call));
}

function conditionMatches({ key, values = [], notValues = [] }: NonNullable<Rule["when"]>[number], call: Call): readonly Answer[] {
  const test = (value: string): Answer => {
    const header = /^request\.headers\[(.*)\]$/.exec(key)?.[1];
    if (header !== undefined) return call.http === undefined ? "unknown" : like(value, call.http.headers[header]);
    const field = { "source.namespace": "namespaces", "source.principal": "principals", "source.ip": "ipBlocks", "destination.port": "ports" }[key];
    return field === undefined ? "unknown" : valueMatches(field, value, call);
  };
  return [...(values.length === 0 ? [] : [oneOf(values, false, test)]), ...(notValues.length === 0 ? [] : [oneOf(notValues, true, test)])];
}

function oneOf(values: readonly string[], negated: boolean, test: (value: string) => Answer): Answer {
  const answers = values.map(test);
  if (answers.includes("unknown")) return "unknown";
  return answers.includes(true) !== negated;
}

function valueMatches(field: string, value: string, { principal, ip, port, http }: Call): Answer {
  switch (field) {
    case "principals":
      return like(value, principal);
    case "namespaces":
      return like(value, principal?.split("/")[2]);
    case "ipBlocks":
      return value.includes("/") ? inBlock(ip, value) : ip === value;
    case "ports":
      return Number(value) === port;
    case "methods":
      return http === undefined ? "unknown" : like(value, http.method);
    case "paths":
      return http === undefined || value.includes("{") ? "unknown" : like(value, normalized(http.path));
    case "hosts":
      return http === undefined ? "unknown" : like(value.toLowerCase(), http.host.toLowerCase());
    default:
      return "unknown";
  }
}

/** "abc", "abc*", "*abc", and "*" for whatever is there. */
function like(pattern: string, text: string | undefined): boolean {
  if (text === undefined || text === "") return false;
  if (pattern === "*") return true;
  if (pattern.startsWith("*")) return text.endsWith(pattern.slice(1));
  return pattern.endsWith("*") ? text.startsWith(pattern.slice(0, -1)) : text === pattern;
}

function normalized(path: string): string {
  return new URL(path, "http://host").pathname;
}

function inBlock(ip: string, block: string): boolean {
  const [base = "", length = "32"] = block.split("/");
  const number = (text: string): number => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  return Math.floor(number(ip) / size) === Math.floor(number(base) / size);
}
