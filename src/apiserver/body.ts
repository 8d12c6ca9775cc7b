/** Request bodies: JSON, YAML, and protobuf for the kinds that are Kubernetes' own. */
import { parseDocument } from "yaml";
import { HostError } from "#host/host-error.ts";
import type { HttpExchange } from "#host/http.ts";
import { duplicateFields } from "./duplicate-fields.ts";
import { parseProtobufBody, PROTOBUF } from "./protobuf.ts";
import { ApiError, badRequest } from "./status.ts";

export interface Body {
  readonly mediaType: string;
  readonly value: unknown;
  /** Fields that stand twice in it, by path; the last one counts. */
  readonly duplicates: readonly string[];
}

/** Deeper than any object that means something, and far from where recursion ends. */
const MAX_DEPTH = 500;
/** How often YAML aliases may be followed, all in all: enough for people, not for a "billion laughs". */
const MAX_YAML_ALIASES = 100;

export async function readBody(exchange: HttpExchange): Promise<Body> {
  const mediaType = (exchange.headers["content-type"] ?? "application/json").split(";")[0]?.trim().toLowerCase() ?? "";
  const bytes = await exchange.body().catch((error: unknown) => {
    if (error instanceof HostError && error.code === "EMSGSIZE") throw new ApiError("RequestEntityTooLarge", `Request entity too large: ${error.message}`);
    throw error;
  });
  if (bytes.length === 0) return { mediaType, value: undefined, duplicates: [] };
  const isJson = mediaType === "" || /[/+]json$/.test(mediaType);
  const isYaml = /[/+]yaml$/.test(mediaType);
  if (mediaType === PROTOBUF) return { mediaType, value: parseProtobufBody(bytes), duplicates: [] };
  if (!isJson && !isYaml) {
    const accepted = `application/json, application/yaml, ${PROTOBUF}`;
    throw new ApiError(
      "UnsupportedMediaType",
      `the body of the request was in an unknown format - accepted media types include: ${accepted} (got ${mediaType})`,
    );
  }
  const text = textOf(bytes);
  const parsed = isJson ? parseJson(text) : parseYaml(text);
  return { mediaType, ...parsed, value: notTooDeep(parsed.value) };
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw badRequest("the body of the request is not UTF-8");
  }
}

function parseJson(text: string): Pick<Body, "value" | "duplicates"> {
  try {
    return { value: JSON.parse(text), duplicates: duplicateFields(text) };
  } catch (error) {
    throw badRequest(`couldn't parse the body as JSON: ${(error as Error).message}`);
  }
}

function parseYaml(text: string): Pick<Body, "value" | "duplicates"> {
  const refused = (message: string) => badRequest(`error converting YAML to JSON: yaml: ${message.split("\n")[0] ?? ""}`);
  try {
    const document = parseDocument(text, { uniqueKeys: true });
    const [error] = document.errors.filter(({ code }) => code !== "DUPLICATE_KEY");
    if (error !== undefined) throw refused(error.message);
    const twice = document.errors.map(({ pos: [start] }) => /^\s*([^:\s]+)/.exec(text.slice(start))?.[1] ?? "");
    return { value: document.toJS({ maxAliasCount: MAX_YAML_ALIASES }), duplicates: twice };
  } catch (error) {
    // The parser's recursion ended, or aliases were followed too often.
    if (error instanceof RangeError) throw refused("nested too deeply");
    if (error instanceof Error && error.name === "ReferenceError") throw refused(error.message);
    throw error;
  }
}

/** The value, unless it is nested so deep that treating it would exhaust the stack. */
export function notTooDeep(value: unknown): unknown {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw badRequest(`the body is nested more than ${MAX_DEPTH} levels deep`);
    level = level.flatMap((each) => (typeof each === "object" && each !== null ? Object.values(each) : []));
  }
  return value;
}
