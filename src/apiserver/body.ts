/** Request bodies: JSON, YAML, and protobuf for the kinds that are Kubernetes' own. */
import { parseDocument } from "yaml";
import { HostError } from "#host/host-error.ts";
import type { HttpExchange } from "#host/http.ts";
import { parseProtobufBody, PROTOBUF } from "./protobuf.ts";
import { ApiError, badRequest } from "./status.ts";

export interface Body {
  readonly mediaType: string;
  readonly value: unknown;
}

export async function readBody(exchange: HttpExchange): Promise<Body> {
  const mediaType = (exchange.headers["content-type"] ?? "application/json").split(";")[0]?.trim() ?? "";
  const bytes = await exchange.body().catch((error: unknown) => {
    if (error instanceof HostError && error.code === "EMSGSIZE") throw new ApiError("RequestEntityTooLarge", `Request entity too large: ${error.message}`);
    throw error;
  });
  if (bytes.length === 0) return { mediaType, value: undefined };
  const isJson = mediaType === "" || /[/+]json$/.test(mediaType);
  const isYaml = /[/+]yaml$/.test(mediaType);
  if (mediaType === PROTOBUF) return { mediaType, value: parseProtobufBody(bytes) };
  if (!isJson && !isYaml) {
    const accepted = `application/json, application/yaml, ${PROTOBUF}`;
    throw new ApiError(
      "UnsupportedMediaType",
      `the body of the request was in an unknown format - accepted media types include: ${accepted} (got ${mediaType})`,
    );
  }
  const text = Buffer.from(bytes).toString("utf8");
  return { mediaType, value: isJson ? parseJson(text) : parseYaml(text) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`couldn't parse the body as JSON: ${(error as Error).message}`);
  }
}

function parseYaml(text: string): unknown {
  const document = parseDocument(text, { uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw badRequest(`error converting YAML to JSON: yaml: ${error.message.split("\n")[0] ?? ""}`);
  return document.toJS({ maxAliasCount: 100 });
}
