/** One rule of an AuthorizationPolicy, field by field: what each demands, or why Weft cannot enforce it. */
import { parseCidr } from "#lib/ip.ts";
import type { AuthorizationPolicy } from "#model/istio.ts";
import { some, textPattern, type Expr, type Leaf, type TextPattern } from "./authorization-expr.ts";
import { spiffeId } from "./settings.ts";

export type PolicyRule = NonNullable<NonNullable<AuthorizationPolicy["spec"]>["rules"]>[number];

export interface Part {
  /** Within the rule: `from[0].source.principals`. */
  readonly field: string;
  /** undefined: it cannot be enforced, for the reason in `problem`. */
  readonly expr: Expr | undefined;
  readonly problem?: PartProblem;
  /** Only a proxy that understands HTTP can tell. */
  readonly http: boolean;
  readonly side: "from" | "to";
}

export interface PartProblem {
  /** "invalid": nobody could do what is written. */
  readonly about: "unsupported" | "invalid";
  /** Goes on after the field's name. */
  readonly text: string;
}

export interface RuleParts {
  /** Alternatives, of each of which all parts must hold. */
  readonly from: readonly (readonly Part[])[];
  readonly to: readonly (readonly Part[])[];
  readonly when: readonly Part[];
}

type Reading = (value: string) => Leaf | Expr | undefined;

interface FieldReading {
  readonly read: Reading;
  readonly http: boolean;
  /** Of values that cannot be read: what they are not; absent: they are not supported yet. */
  readonly wants?: string;
}

const tcp = (read: Reading, wants?: string): FieldReading => ({ read, http: false, ...(wants === undefined ? {} : { wants }) });
const http = (read: Reading, wants?: string): FieldReading => ({ ...tcp(read, wants), http: true });

const unreadable: Reading = () => undefined;
const anAddress = "an address or a CIDR";
const aPort = "a port (1 to 65535)";
const cidrOf =
  (is: "sourceIp" | "remoteIp" | "destinationIp"): Reading =>
  (cidr) =>
    isCidr(cidr) ? { is, cidr } : undefined;
const path: Reading = (value) => (value.includes("{") ? undefined : { is: "path", text: textPattern(value) });

const sourceFields: Readonly<Record<string, FieldReading>> = {
  principals: tcp(principal),
  namespaces: tcp(namespacePrincipal),
  ipBlocks: tcp(cidrOf("sourceIp"), anAddress),
  remoteIpBlocks: http(cidrOf("remoteIp"), anAddress),
  requestPrincipals: http(unreadable),
  trustDomains: tcp((domain) => ({ is: "principal", text: { kind: "regex", value: `spiffe://${wildcardRegex(domain, "[^/]*")}/.*` } })),
};

const operationFields: Readonly<Record<string, FieldReading>> = {
  hosts: http(hostHeader),
  ports: tcp(portNumber, aPort),
  methods: http((method) => ({ is: "header", name: ":method", text: textPattern(method) })),
  paths: http(path),
};

/** Conditions by key; the second of a pair says on which side of the rule it stands. */
const conditionFields: Readonly<Record<string, readonly [FieldReading, Part["side"]]>> = {
  "source.ip": [tcp(cidrOf("sourceIp"), anAddress), "from"],
  "remote.ip": [http(cidrOf("remoteIp"), anAddress), "from"],
  "source.namespace": [tcp(namespacePrincipal), "from"],
  "source.principal": [tcp(principal), "from"],
  "destination.ip": [tcp(cidrOf("destinationIp"), anAddress), "to"],
  "destination.port": [tcp(portNumber, aPort), "to"],
  "connection.sni": [tcp((name) => ({ is: "sni", text: textPattern(name) })), "to"],
};

export function ruleParts(rule: PolicyRule, namespace = ""): RuleParts {
  const sources = { ...sourceFields, serviceAccounts: tcp(serviceAccountPrincipal(namespace)) };
  return {
    from: (rule.from ?? []).map(({ source = {} }, i) => fieldParts(source, sources, `from[${i}].source`, "from")),
    to: (rule.to ?? []).map(({ operation = {} }, i) => fieldParts(operation, operationFields, `to[${i}].operation`, "to")),
    when: (rule.when ?? []).flatMap(({ key, values = [], notValues = [] }, i) => {
      const [reading, side] = conditionFields[key] ?? [requestHeader(key), "from" as const];
      if (values.length + notValues.length === 0) return [empty(`when[${i}]`, side, "has neither values nor notValues")];
      return [
        ...(values.length === 0 ? [] : [part(values, reading, { field: `when[${i}].values`, side, negated: false })]),
        ...(notValues.length === 0 ? [] : [part(notValues, reading, { field: `when[${i}].notValues`, side, negated: true })]),
      ];
    }),
  };
}

function fieldParts(
  written: Readonly<Record<string, readonly string[] | undefined>>,
  fields: Readonly<Record<string, FieldReading>>,
  path: string,
  side: Part["side"],
): readonly Part[] {
  const fieldsInUse = Object.entries(written).filter(([, values = []]) => values.length > 0);
  // Whoever wrote it surely meant somebody or something: nothing is safer than everything.
  if (fieldsInUse.length === 0) return [empty(path, side, "is empty")];
  return fieldsInUse.flatMap(([name, values = []]) => {
    const positive = name.startsWith("not") ? name.charAt(3).toLowerCase() + name.slice(4) : name;
    const reading = fields[positive] ?? tcp(unreadable);
    return [part(values, reading, { field: `${path}.${name}`, side, negated: positive !== name })];
  });
}

/** One value that cannot be read makes the whole part one that cannot be enforced. */
function part(values: readonly string[], { read, http: isHttp, wants }: FieldReading, of: { field: string; side: Part["side"]; negated: boolean }): Part {
  const exprs = values.map(read);
  const { negated, ...rest } = of;
  const unread = values.find((_, i) => exprs[i] === undefined);
  if (unread !== undefined) {
    const problem: PartProblem =
      wants === undefined
        ? { about: "unsupported", text: "cannot be enforced (not supported yet)" }
        : { about: "invalid", text: `cannot be enforced: ${JSON.stringify(unread)} is not ${wants}` };
    return { ...rest, expr: undefined, problem, http: isHttp };
  }
  const readable = some(exprs.flatMap((expr) => expr ?? []));
  return { ...rest, expr: negated ? { is: "not", of: readable } : readable, http: isHttp };
}

function empty(field: string, side: Part["side"], text: string): Part {
  return { field, side, expr: undefined, problem: { about: "invalid", text }, http: false };
}

/** "cluster.local/ns/default/sa/x" stands for the SPIFFE URI. */
function principal(written: string): Expr {
  const text = textPattern(written);
  const prefixed = text.kind === "suffix" || text.kind === "any" ? text : { ...text, value: `spiffe://${text.value}` };
  return { is: "principal", text: prefixed };
}

function namespacePrincipal(namespace: string): Expr {
  return { is: "principal", text: { kind: "regex", value: `spiffe://[^/]+/ns/${wildcardRegex(namespace, "[^/]*")}/sa/.*` } };
}

/** "account" of the policy's namespace, or "namespace/account". */
function serviceAccountPrincipal(namespace: string): Reading {
  return (written) => {
    const slash = written.indexOf("/");
    const [ns, account] = slash < 0 ? [namespace, written] : [written.slice(0, slash), written.slice(slash + 1)];
    return { is: "principal", text: { kind: "exact", value: spiffeId(ns, account) } };
  };
}

/** Without regard to case, with or without a port. */
function hostHeader(written: string): Expr {
  const text = textPattern(written.toLowerCase());
  if (text.kind !== "exact" && text.kind !== "suffix") return authority(text);
  const host = text.kind === "exact" ? escapeRegex(text.value) : `.*${escapeRegex(text.value)}`;
  return authority({ kind: "regex", value: `(?i)${host}(:[0-9]+)?` });
}

function authority(text: TextPattern): Expr {
  return { is: "header", name: ":authority", text: text.kind === "regex" ? text : { ...text, ignoreCase: true } };
}

function portNumber(written: string): Expr | undefined {
  const port = Number(written);
  return Number.isInteger(port) && port >= 1 && port <= 65535 ? { is: "port", port } : undefined;
}

/** request.headers[name] */
function requestHeader(key: string): FieldReading {
  const name = /^request\.headers\[([^\]]+)\]$/.exec(key)?.[1]?.toLowerCase();
  return name === undefined ? tcp(unreadable) : http((value) => ({ is: "header", name, text: textPattern(value) }));
}

function isCidr(text: string): boolean {
  return parseCidr(text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`) !== undefined;
}

function wildcardRegex(written: string, any: string): string {
  return written.split("*").map(escapeRegex).join(any);
}

function escapeRegex(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
