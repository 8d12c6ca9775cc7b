/** Envoy's access log formats: a format string (or a JSON struct of them) is compiled once; a record is written by joining parts. */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import { compileFirstValueReader } from "#decide/match/header-match.ts";
import type { RequestView } from "#decide/request-view.ts";
import { type HeaderName, headerName } from "#wire/http/header-name.ts";

/** What is known when a request or a TCP connection is over. Absent values print as "-". */
export interface AccessRecord {
  /** undefined for TCP. */
  readonly request: RequestView | undefined;
  response(name: HeaderName): string | undefined;
  readonly startMs: number;
  readonly protocol: string | undefined;
  readonly status: number;
  readonly statusDetails: string | undefined;
  readonly flags: string;
  readonly terminationDetails: string | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly durationMs: number;
  /** First byte of the upstream's response, since the start. */
  readonly responseDurationMs: number | undefined;
  readonly upstreamHost: string | undefined;
  readonly upstreamCluster: string | undefined;
  readonly upstreamLocal: string | undefined;
  readonly upstreamFailure: string | undefined;
  /** Why the client's TLS failed. */
  readonly downstreamFailure: string | undefined;
  readonly attempts: number;
  readonly local: string | undefined;
  readonly remote: string | undefined;
  readonly directRemote: string | undefined;
  readonly serverName: string | undefined;
  readonly routeName: string | undefined;
  readonly peerUri: string | undefined;
  readonly localUri: string | undefined;
  readonly tlsVersion: string | undefined;
}

type Operator = (record: AccessRecord) => string | number | undefined;
export type Formatter = (record: AccessRecord) => string;

export const DEFAULT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

const withoutPort = (address: string | undefined): string | undefined => address?.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");

/** As Envoy does, so that a reason is one field of a line of fields. */
const oneWord = (text: string | undefined): string | undefined => text?.replace(/\s+/g, "_");

const SIMPLE: Readonly<Record<string, Operator>> = {
  START_TIME: (r) => new Date(r.startMs).toISOString(),
  PROTOCOL: (r) => r.protocol,
  RESPONSE_CODE: (r) => r.status,
  RESPONSE_CODE_DETAILS: (r) => r.statusDetails,
  RESPONSE_FLAGS: (r) => (r.flags === "" ? "-" : r.flags),
  CONNECTION_TERMINATION_DETAILS: (r) => r.terminationDetails,
  BYTES_RECEIVED: (r) => r.bytesReceived,
  BYTES_SENT: (r) => r.bytesSent,
  DURATION: (r) => r.durationMs,
  RESPONSE_DURATION: (r) => r.responseDurationMs,
  RESPONSE_TX_DURATION: (r) => (r.responseDurationMs === undefined ? undefined : r.durationMs - r.responseDurationMs),
  UPSTREAM_HOST: (r) => r.upstreamHost,
  UPSTREAM_REMOTE_ADDRESS: (r) => r.upstreamHost,
  UPSTREAM_CLUSTER: (r) => r.upstreamCluster,
  UPSTREAM_CLUSTER_RAW: (r) => r.upstreamCluster,
  UPSTREAM_LOCAL_ADDRESS: (r) => r.upstreamLocal,
  UPSTREAM_TRANSPORT_FAILURE_REASON: (r) => oneWord(r.upstreamFailure),
  DOWNSTREAM_TRANSPORT_FAILURE_REASON: (r) => oneWord(r.downstreamFailure),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: (r) => r.attempts,
  DOWNSTREAM_LOCAL_ADDRESS: (r) => r.local,
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: (r) => withoutPort(r.local),
  DOWNSTREAM_LOCAL_PORT: (r) => r.local?.replace(/^.*:/, ""),
  DOWNSTREAM_REMOTE_ADDRESS: (r) => r.remote,
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: (r) => withoutPort(r.remote),
  DOWNSTREAM_REMOTE_PORT: (r) => r.remote?.replace(/^.*:/, ""),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: (r) => r.directRemote,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: (r) => withoutPort(r.directRemote),
  DOWNSTREAM_PEER_URI_SAN: (r) => r.peerUri,
  DOWNSTREAM_LOCAL_URI_SAN: (r) => r.localUri,
  DOWNSTREAM_TLS_VERSION: (r) => r.tlsVersion,
  REQUESTED_SERVER_NAME: (r) => r.serverName,
  ROUTE_NAME: (r) => (r.routeName === "" ? undefined : r.routeName),
};

/** Known operators that this proxy never has a value for. */
const ALWAYS_ABSENT = new Set([
  "DYNAMIC_METADATA",
  "FILTER_STATE",
  "UPSTREAM_METADATA",
  "CLUSTER_METADATA",
  "TRAILER",
  "HOSTNAME",
  "ENVIRONMENT",
  "METADATA",
  "CONNECTION_ID",
]);

function operator(name: string, argument: string | undefined, path: string): Operator {
  if (name === "REQ" || name === "RESP") {
    const readers = (argument ?? "").split("?").map((header) => headerOperator(name, header));
    return (record) => {
      for (const read of readers) {
        const value = read(record);
        if (value !== undefined) return value;
      }
      return undefined;
    };
  }
  const simple = SIMPLE[name];
  if (simple !== undefined) return simple;
  if (ALWAYS_ABSENT.has(name)) return () => undefined;
  throw new ConfigProblem(path, `%${name}%: ${NOT_SUPPORTED}`);
}

function headerOperator(kind: "REQ" | "RESP", header: string): Operator {
  if (kind === "REQ") {
    const read = compileFirstValueReader(header);
    return ({ request }) => (request === undefined ? undefined : read(request));
  }
  if (header.toLowerCase() === ":status") return (record) => record.status;
  const name = headerName(header);
  return (record) => record.response(name);
}

const OPERATOR = /%([A-Z_]+)(?:\(([^)]*)\))?(?::(\d+))?%|%%/g;

interface Part {
  readonly text: string;
  readonly value: Operator | undefined;
  readonly maxLength: number;
}

function parse(format: string, path: string): Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (const found of format.matchAll(OPERATOR)) {
    if (found.index > from) parts.push({ text: format.slice(from, found.index), value: undefined, maxLength: 0 });
    from = found.index + found[0].length;
    if (found[0] === "%%") parts.push({ text: "%", value: undefined, maxLength: 0 });
    else parts.push({ text: "", value: operator(found[1] ?? "", found[2], path), maxLength: Number(found[3] ?? 0) });
  }
  const rest = format.slice(from);
  if (/%[A-Z_]/.test(rest)) throw new ConfigProblem(path, `"${rest}" has an operator without its closing %`);
  if (rest !== "") parts.push({ text: rest, value: undefined, maxLength: 0 });
  return parts;
}

const cut = (value: string, maxLength: number): string => (maxLength > 0 && value.length > maxLength ? value.slice(0, maxLength) : value);

export function compileTextFormat(format: string, path: string, absent = "-"): Formatter {
  const parts = parse(format, path);
  return (record) => {
    let out = "";
    for (const part of parts) out += part.value === undefined ? part.text : cut(String(part.value(record) ?? absent), part.maxLength);
    return out;
  };
}

/** A lone operator keeps its type (numbers stay numbers, absent is null); anything else is text. */
export function compileJsonFormat(format: JsonObject, path: string, omitsEmpty = false): Formatter {
  const value = jsonValue(format, path);
  const present = (_key: string, one: unknown): unknown => (one === null ? undefined : one);
  return (record) => `${JSON.stringify(value(record), omitsEmpty ? present : undefined)}\n`;
}

function jsonValue(format: JsonValue, path: string): (record: AccessRecord) => unknown {
  if (typeof format === "string") {
    const parts = parse(format, path);
    const [only] = parts;
    const lone = parts.length === 1 ? only?.value : undefined;
    if (lone !== undefined) {
      return (record) => {
        const value = lone(record);
        return typeof value === "string" ? cut(value, only?.maxLength ?? 0) : (value ?? null);
      };
    }
    return compileTextFormat(format, path);
  }
  if (Array.isArray(format)) {
    const items = format.map((item, i) => jsonValue(item, `${path}[${i}]`));
    return (record) => items.map((item) => item(record));
  }
  if (typeof format === "object" && format !== null) {
    const fields = Object.entries(format).map(([key, item]) => [key, jsonValue(item, `${path}.${key}`)] as const);
    return (record) => Object.fromEntries(fields.map(([key, item]) => [key, item(record)]));
  }
  return () => format;
}
