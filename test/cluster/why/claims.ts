/** What an answer claims of single hops, held against what the proxies and nodes wrote down of the same request. */
import type { Answer } from "#cli/why/question.ts";
import type { Hop } from "#decide/why/answer.ts";
import type { FlowRecord } from "#model/flow.ts";
import { formatProvenance } from "#model/provenance.ts";
import type { Question } from "./questions.ts";

export interface Evidence {
  /** The proxies' access logs by pod, "namespace/name". */
  readonly logs: ReadonlyMap<string, string>;
  readonly flows: readonly FlowRecord[];
}

interface Observed {
  readonly outcome: string;
  readonly server?: string;
  readonly why?: string;
  readonly body?: string;
}

/** Of the access log's line: see compile/xds/access-log.ts. */
interface LogLine {
  readonly details: string;
  readonly upstreamHost: string;
  readonly upstreamCluster: string;
  readonly peer: string;
}

/** By which a request is found again in the logs. */
export function requestId(round: number, question: Question): string {
  return `why-${round}-${question.id}`;
}

function lineOf(log: string | undefined, id: string): LogLine | undefined {
  const line = log?.split("\n").findLast((each) => each.includes(`"${id}"`));
  const found =
    /^\[\S+\] "[^"]*" \d+ \S+ (?<details>.*) (?:-|\S+) "[^"]*" \d+ \d+ \d+ "[^"]*" "[^"]*" "(?<host>[^"]*)" (?<cluster>\S+) \S+ \S+ \S+ (?<peer>\S+) \S+$/.exec(
      line ?? "",
    );
  const { details = "", host = "", cluster = "", peer = "" } = found?.groups ?? {};
  return found === null ? undefined : { details, upstreamHost: host, upstreamCluster: cluster, peer };
}

export interface Claim {
  readonly about: "policy" | "endpoint" | "cluster" | "identity" | "request" | "refusal" | "drop";
  readonly problem: string | undefined;
}

/** Only answers with one way: where chance decides, the hops are those of one of several. */
export function claimsOf(answer: Answer, question: Question, seen: Observed, evidence: Evidence & { readonly id: string }): readonly Claim[] {
  if (answer.ways.length !== 1 || answer.verdict === "unknown") return [];
  const { logs, id } = evidence;
  const targetName = answer.target.replace(/ \(.*$/, "");
  const targetKey = [...logs.keys()].find((key) => key.endsWith(`/${targetName}`)) ?? "";
  // A pod that calls itself writes both lines into one log.
  const isItself = targetKey === question.from;
  const client = isItself ? undefined : lineOf(logs.get(question.from), id);
  const server = isItself ? undefined : lineOf(logs.get(targetKey), id);
  const deciding = answer.hops.findLast(({ verdict }) => verdict === "denied");
  const claims =
    deciding === undefined
      ? [endpointClaim(answer, client), clusterClaim(answer, client), identityClaim(answer, server), requestClaim(answer, seen)]
      : [policyClaim(deciding, seen, server), refusalClaim(answer, deciding, client), dropClaim(answer, deciding, question, evidence.flows)];
  return claims.filter((claim) => claim !== undefined);
}

function claim(about: Claim["about"], holds: boolean, problem: () => string): Claim {
  return { about, problem: holds ? undefined : `${about}: ${problem()}` };
}

function hopOf({ hops }: Answer, name: string): Hop | undefined {
  return hops.findLast(({ hop }) => hop === name);
}

function endpointClaim(answer: Answer, client: LogLine | undefined): Claim | undefined {
  const endpoint = hopOf(answer, "endpoint");
  if (client === undefined || endpoint === undefined || hopOf(answer, "gateway") !== undefined) return undefined;
  return claim(
    "endpoint",
    new RegExp(`^${client.upstreamHost.replaceAll(".", "\\.")}[ ,]`).test(endpoint.text),
    () => `${endpoint.text}; the client's proxy chose ${client.upstreamHost}`,
  );
}

function clusterClaim(answer: Answer, client: LogLine | undefined): Claim | undefined {
  const route = answer.hops.find(({ hop }) => hop === "route");
  const [direction, port = "", subset = "", host = ""] = client?.upstreamCluster.split("|") ?? [];
  if (route === undefined || client === undefined || direction !== "outbound" || hopOf(answer, "gateway") !== undefined) return undefined;
  const short = `${host.replace(/\.svc\.cluster\.local$/, "")}:${port}${subset === "" ? "" : ` subset ${subset}`}`;
  return claim(
    "cluster",
    `${route.text};`.includes(` to ${short};`) || `${route.text} (`.includes(` to ${short} (`),
    () => `${route.text}; the client's proxy chose ${client.upstreamCluster}`,
  );
}

function identityClaim(answer: Answer, server: LogLine | undefined): Claim | undefined {
  const mtls = hopOf(answer, "mTLS");
  if (server === undefined || mtls === undefined) return undefined;
  const told = /caller (\S+)$/.exec(mtls.text)?.[1] ?? "-";
  return claim("identity", told === server.peer, () => `${mtls.text}; the server's proxy saw ${server.peer}`);
}

/** The application tells what reached it. */
function requestClaim(answer: Answer, { body }: Observed): Claim | undefined {
  const route = hopOf(answer, "route");
  const found = /^(\S+) (\S+) of (\S+) to the application$/.exec(route?.text ?? "");
  if (found === null || body === undefined || !body.startsWith("{")) return undefined;
  const [, method, path, authority] = found;
  const got = JSON.parse(body) as { readonly method: string; readonly path: string; readonly headers: Readonly<Record<string, string>> };
  return claim(
    "request",
    got.method === method && got.path === path && got.headers["host"] === authority,
    () => `${route?.text ?? ""}; the application got ${body}`,
  );
}

/** Who forbade it, as `x-weft-why` and the access log of the server's proxy name it. */
function policyClaim(deciding: Hop, { why }: Observed, server: LogLine | undefined): Claim | undefined {
  if (deciding.hop !== "proxy in" || deciding.by === undefined) return undefined;
  const name = formatProvenance(deciding.by);
  // Of a connection that was refused the client's proxy knows no more than that it ended.
  const told = [why?.startsWith("denied") === true ? why : undefined, server?.details].filter((text) => text !== undefined);
  if (told.length === 0) return undefined;
  return claim(
    "policy",
    told.every((text) => text.replaceAll(" ", "_").includes(name.replaceAll(" ", "_"))),
    () => `${name}; told was ${told.join(" and ")}`,
  );
}

const REFUSALS: readonly (readonly [text: RegExp, details: string])[] = [
  [/^there is no /, "cluster_not_found"],
  [/no endpoint that is ready/, "no_healthy_upstream"],
  [/^no route for |^no host /, "route_not_found"],
];

function refusalClaim(answer: Answer, { hop, text }: Hop, client: LogLine | undefined): Claim | undefined {
  const wanted = REFUSALS.find(([pattern]) => pattern.test(text))?.[1];
  if (client === undefined || wanted === undefined || hopOf(answer, "gateway") !== undefined || (hop !== "endpoint" && hop !== "route")) return undefined;
  return claim("refusal", client.details === wanted, () => `${text}; the client's proxy says ${client.details}`);
}

/** The node's own record of the packet, with the same words and policies. */
function dropClaim(answer: Answer, { by, text }: Hop, { from }: Question, flows: readonly FlowRecord[]): Claim | undefined {
  const reason = /DROP: (.*)$/.exec(text)?.[1];
  if (reason === undefined || by?.kind !== "NetworkPolicy" || from === "outside" || hopOf(answer, "gateway") !== undefined) return undefined;
  const target = answer.target.replace(/ \(.*$/, "");
  const policy = formatProvenance({ ...by, field: "" });
  const found = flows.filter(({ source, reason: told }) => source.pod === from && told === reason);
  const isNamed = found.some(({ policies, destination }) => policies.includes(policy) && (destination.pod?.endsWith(`/${target}`) ?? true));
  return claim("drop", isNamed, () => `${text}; nodes recorded ${found.length} drops of ${from} with these words`);
}
