/** What a route changes in a request on its way, and where a redirect points. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { HeaderValueOption_HeaderAppendAction, type HeaderValueOptionSchema } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { RedirectAction_RedirectResponseCode, RedirectActionSchema, type RedirectAction } from "#wire/envoy/gen/envoy/config/route/v3/route_components_pb.ts";
import type { HeaderChange, HeaderChanges, Redirect, RequestMatch, Rewrite } from "#compile/mesh/route.ts";

type HeaderValueOption = MessageInitShape<typeof HeaderValueOptionSchema>;
interface RouteActionFields {
  readonly prefixRewrite?: string;
  readonly regexRewrite?: { readonly pattern: { readonly regex: string }; readonly substitution: string };
  readonly hostRewriteSpecifier?: { readonly case: "hostRewriteLiteral"; readonly value: string };
}

export function headerChanges(changes: HeaderChanges | undefined) {
  const { request, response } = changes ?? {};
  return {
    requestHeadersToAdd: values(request),
    requestHeadersToRemove: [...(request?.remove ?? [])],
    responseHeadersToAdd: values(response),
    responseHeadersToRemove: [...(response?.remove ?? [])],
  };
}

function values(change: HeaderChange | undefined): HeaderValueOption[] {
  const { OVERWRITE_IF_EXISTS_OR_ADD, APPEND_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;
  const option =
    (appendAction: HeaderValueOption_HeaderAppendAction) =>
    ([key, value]: readonly [string, string]) => ({ header: { key, value: literal(value) }, appendAction });
  return [...(change?.set ?? []).map(option(OVERWRITE_IF_EXISTS_OR_ADD)), ...(change?.add ?? []).map(option(APPEND_IF_EXISTS_OR_ADD))];
}

/** "%" begins a substitution in Envoy; users mean the sign. */
function literal(value: string): string {
  return value.replaceAll("%", "%%");
}

export function rewriteOf(rewrite: Rewrite | undefined, match: RequestMatch): RouteActionFields {
  const { path, host } = rewrite ?? {};
  return {
    ...(host === undefined ? {} : { hostRewriteSpecifier: { case: "hostRewriteLiteral" as const, value: host } }),
    ...(path === undefined ? {} : path.kind === "full" ? fullPath(path.value) : prefix(path.value, match)),
  };
}

function fullPath(value: string): RouteActionFields {
  return { regexRewrite: { pattern: { regex: "/.*" }, substitution: substitution(value) } };
}

/** Cutting "/a" off "/a/b" must leave "/b", not "//b" or nothing. */
function prefix(value: string, { path }: RequestMatch): RouteActionFields {
  if (path?.kind !== "segments" || path.value === "/" || value !== "/") return { prefixRewrite: value };
  const consumed = path.value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return { regexRewrite: { pattern: { regex: `^${consumed}/*` }, substitution: "/" } };
}

function substitution(text: string): string {
  return text.replaceAll("\\", "\\\\");
}

const codes: Readonly<Record<number, RedirectAction_RedirectResponseCode>> = {
  301: RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  302: RedirectAction_RedirectResponseCode.FOUND,
  303: RedirectAction_RedirectResponseCode.SEE_OTHER,
  307: RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT,
  308: RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT,
};

export function redirectAction({ scheme, host, port, path, status }: Redirect): RedirectAction {
  return create(RedirectActionSchema, {
    responseCode: codes[status] ?? RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
    ...(host === undefined ? {} : { hostRedirect: host }),
    ...(port === undefined ? {} : { portRedirect: port }),
    ...(scheme === undefined ? {} : { schemeRewriteSpecifier: { case: "schemeRedirect", value: scheme } }),
    ...(path === undefined
      ? {}
      : { pathRewriteSpecifier: path.kind === "full" ? { case: "pathRedirect", value: path.value } : { case: "prefixRewrite", value: path.value } }),
  });
}
