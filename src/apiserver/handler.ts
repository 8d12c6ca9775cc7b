/** One request from its URL to its answer: who asks, may they, what is it, how is it written. */
import type { Clock } from "#host/clock.ts";
import type { HttpExchange, HttpUpgrade } from "#host/http.ts";
import type { KubeObject } from "#model/object.ts";
import { authenticate, forbiddenFor, isAllowed, nodeMayCreate, nodeOf, type User } from "./authorization.ts";
import { readBody, type Body } from "./body.ts";
import { scaleColumns } from "./columns.ts";
import { deleteObject, deleteOptions } from "./deletion.ts";
import { discover } from "./discovery.ts";
import type { Lists } from "./listing.ts";
import type { NodeProxy } from "./node-proxy.ts";
import { OPENAPI_V2_PROTOBUF, openApiIndex, openApiV2, openApiV2WithoutTypes, openApiV3 } from "./openapi.ts";
import { patched, patchObject } from "./patching.ts";
import type { Call, Place, Registry } from "./registry.ts";
import { formOf, representation, type Representation } from "./represent.ts";
import { routeOf, type ResourceRequest } from "./route.ts";
import { selectionOf } from "./selection.ts";
import { ApiError, badRequest, success } from "./status.ts";
import { bind, review, scaleOf, withScale } from "./subresources.ts";
import type { Watches } from "./watch.ts";

export interface HandlerParts {
  readonly registry: Registry;
  readonly lists: Lists;
  readonly watches: Watches;
  readonly nodes: NodeProxy;
  readonly clock: Clock;
  /** "192.168.99.1:6443", for discovery. */
  readonly serverAddress: string;
  /** Something broke that should not: logged by the caller. */
  readonly onBug: (error: unknown, what: string) => void;
}

/** Everybody may ask these. */
const openPaths = ["/version", "/healthz", "/livez", "/readyz"];

interface Request {
  readonly exchange: HttpExchange;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly user: User;
  readonly warnings: string[];
}

export class Handler {
  readonly #parts: HandlerParts;

  constructor(parts: HandlerParts) {
    this.#parts = parts;
  }

  async onRequest(exchange: HttpExchange): Promise<void> {
    const warnings: string[] = [];
    try {
      const url = urlOf(exchange.url);
      const request: Request = { exchange, path: url.pathname, query: url.searchParams, user: authenticate(exchange.peer), warnings };
      if (!this.#answerFixed(request)) await this.#answerResource(request);
    } catch (error) {
      const failure = this.#failure(error, `${exchange.method} ${exchange.url}`);
      respond(exchange, failure.code, failure.status(), warnings);
    }
  }

  onUpgrade(upgrade: HttpUpgrade): void {
    try {
      const url = urlOf(upgrade.url);
      const route = routeOf("GET", url.pathname, url.searchParams);
      if (route === undefined || "review" in route) throw new ApiError("NotFound", "the server could not find the requested resource");
      this.#authorize(authenticate(upgrade.peer), { ...route, verb: "create" }, url.searchParams);
      if (route.info.id !== "Pod" || route.subresource !== "exec") throw notSpoken(route.subresource);
      this.#parts.nodes.upgrade(upgrade, route, url.searchParams);
    } catch (error) {
      const failure = this.#failure(error, `upgrade ${upgrade.url}`);
      upgrade.refuse(failure.code, { "content-type": "application/json" }, JSON.stringify(failure.status()));
    }
  }

  #failure(error: unknown, what: string): ApiError {
    if (error instanceof ApiError) return error;
    this.#parts.onBug(error, what);
    return new ApiError("InternalError", `Internal error occurred: ${error instanceof Error ? error.message : String(error)}`);
  }

  /** Health, discovery and OpenAPI. */
  #answerFixed({ exchange, path, user }: Request): boolean {
    const isReading = exchange.method === "GET" || exchange.method === "HEAD";
    if (isReading && openPaths.includes(path) && path !== "/version") {
      exchange.respond(200, { "content-type": "text/plain" }, "ok");
      return true;
    }
    if (user.groups.includes("system:unauthenticated") && !openPaths.includes(path)) {
      throw new ApiError(
        "Forbidden",
        `forbidden: User "system:anonymous" cannot ${exchange.method.toLowerCase()} path ${JSON.stringify(path)}; present a client certificate`,
      );
    }
    if (!isReading) return false;
    const accept = exchange.headers["accept"] ?? "";
    if (path === "/openapi/v3") respond(exchange, 200, openApiIndex());
    else if (path.startsWith("/openapi/v3/")) {
      const document = openApiV3(path.slice("/openapi/v3/".length));
      if (document === undefined) throw new ApiError("NotFound", `no OpenAPI document at ${path}`);
      respond(exchange, 200, document);
    } else if (path === "/openapi/v2") {
      if (/protobuf/.test(accept) && !/json|\*\/\*/.test(accept)) exchange.respond(200, { "content-type": OPENAPI_V2_PROTOBUF }, openApiV2WithoutTypes());
      else respond(exchange, 200, openApiV2());
    } else {
      const found = discover(path, accept, this.#parts.serverAddress);
      if (found === undefined) return false;
      respond(exchange, 200, found.body, [], found.contentType);
    }
    return true;
  }

  #authorize(user: User, route: ResourceRequest, query: URLSearchParams): void {
    if (!isAllowed(user, { ...route, fieldSelector: query.get("fieldSelector") }, this.#parts.registry.store)) throw forbiddenFor(user, route);
  }

  async #answerResource(request: Request): Promise<void> {
    const { exchange, path, query, user } = request;
    const route = routeOf(exchange.method, path, query);
    if (route === undefined) throw new ApiError("NotFound", "the server could not find the requested resource");
    if ("review" in route) {
      const answer = review(route.review, (await readBody(exchange)).value, user, this.#parts.registry.store);
      if (answer === undefined) throw new ApiError("NotFound", "the server could not find the requested resource");
      return respond(exchange, 201, answer);
    }
    this.#authorize(user, route, query);
    const { subresource, info } = route;
    if (subresource === "log" && info.id === "Pod") return this.#parts.nodes.log(exchange, route, query);
    if (subresource === "proxy" && info.id === "Node") return this.#parts.nodes.proxy(exchange, route, query);
    if (subresource === "exec" && info.id === "Pod") {
      throw badRequest("exec needs a WebSocket upgrade (subprotocol v5.channel.k8s.io or v4.channel.k8s.io); SPDY is not spoken");
    }
    if (info.id === "Pod" && (subresource === "portforward" || subresource === "attach")) throw notSpoken(subresource);
    if (route.verb === "list" || route.verb === "watch") return this.#read(request, route);
    if (route.verb === "get") return this.#get(request, route);
    await this.#write(request, route);
  }

  #represent({ exchange, query }: Request, place: Place): Representation {
    return representation(formOf(exchange.headers["accept"]), place, { includeObject: query.get("includeObject"), now: this.#parts.clock.now() });
  }

  #representScale({ exchange, query }: Request, { info }: ResourceRequest): Representation {
    const place = { info: { ...info, group: "autoscaling" }, version: "v1", namespace: undefined };
    const options = { includeObject: query.get("includeObject"), now: this.#parts.clock.now(), columns: scaleColumns };
    return representation(formOf(exchange.headers["accept"]), place, options);
  }

  #read(request: Request, route: ResourceRequest): void {
    const { exchange, query } = request;
    const selection = selectionOf(route.info, query, route);
    const form = formOf(exchange.headers["accept"]);
    if (route.verb === "watch") return this.#parts.watches.start(exchange, warningHeaders(request.warnings), { place: route, selection, form, query });
    const { objects, metadata } = this.#parts.lists.list(route, selection, query);
    respond(exchange, 200, this.#represent(request, route).many(objects, metadata));
  }

  #get(request: Request, route: ResourceRequest): void {
    const object = this.#parts.registry.get(route, route.name ?? "");
    const { subresource, info } = route;
    if (subresource === undefined || (subresource === "status" && info.hasStatus))
      return respond(request.exchange, 200, this.#represent(request, route).one(object));
    if (subresource === "scale" && info.hasScale) {
      return respond(request.exchange, 200, this.#representScale(request, route).one(scaleOf(object)));
    }
    throw new ApiError("NotFound", "the server could not find the requested resource");
  }

  async #write(request: Request, route: ResourceRequest): Promise<void> {
    const { exchange } = request;
    const { info, subresource, verb } = route;
    const isScaling = subresource === "scale" && info.hasScale && (verb === "update" || verb === "patch");
    const isBinding = subresource === "binding" && info.id === "Pod" && verb === "create";
    const part = isScaling || isBinding ? undefined : subresourceOf(route);
    const body = await readBody(exchange);
    const call = { ...this.#call(request), duplicates: body.duplicates };
    const { registry } = this.#parts;
    const name = route.name ?? "";
    const answer = (status: number, object: KubeObject) => respond(exchange, status, this.#represent(request, route).one(object), request.warnings);
    if (isScaling) {
      const current = registry.get(route, name);
      const scale = verb === "patch" ? patched({ ...route, info: { ...info, builtIn: false } }, scaleOf(current), asMerge(body)) : body.value;
      return respond(
        exchange,
        200,
        scaleOf(registry.update(route, name, registry.encode(route, withScale(current, scale)), call, { subresource: "scale" })),
        request.warnings,
      );
    }
    if (isBinding) {
      bind(registry, route, name, body.value, call);
      return respond(exchange, 201, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 });
    }
    switch (verb) {
      case "create": {
        if (name !== "") throw new ApiError("MethodNotAllowed", "the server does not allow this method on the requested resource");
        const node = nodeOf(request.user);
        if (node !== undefined && !nodeMayCreate(node, registry.decode(route, body.value, { fieldValidation: "Ignore", warn: () => undefined })))
          throw forbiddenFor(request.user, route);
        return answer(201, registry.create(route, body.value, call));
      }
      case "update":
        return answer(200, registry.update(route, name, body.value, call, { subresource: part }));
      case "patch": {
        if (part === "finalize") break;
        const force = request.query.get("force") === "true";
        const { object, created } = patchObject(
          registry,
          { place: route, name, subresource: part, force, namesManager: request.query.has("fieldManager") },
          body,
          call,
        );
        return answer(created ? 201 : 200, object);
      }
      case "delete": {
        if (subresource !== undefined) break;
        const { object, isGone } = deleteObject(registry, route, name, deleteOptions(request.query, body.value), call);
        if (isGone && info.id !== "Pod") return respond(exchange, 200, success(info, name, object.metadata.uid), request.warnings);
        return answer(200, object);
      }
      case "deletecollection":
        return this.#deleteCollection(request, route, body.value, call);
    }
    throw new ApiError("MethodNotAllowed", "the server does not allow this method on the requested resource");
  }

  #deleteCollection(request: Request, route: ResourceRequest, body: unknown, call: Call): void {
    const { registry, lists } = this.#parts;
    const { objects, metadata } = lists.list(route, selectionOf(route.info, request.query, route), request.query);
    const options = deleteOptions(request.query, body);
    const deleted = objects.map(
      (object) => deleteObject(registry, { ...route, namespace: object.metadata.namespace }, object.metadata.name, options, call).object,
    );
    respond(request.exchange, 200, this.#represent(request, route).many(deleted, metadata), request.warnings);
  }

  #call({ query, user, warnings, exchange }: Request): Call {
    const validation = query.get("fieldValidation") ?? "Warn";
    if (validation !== "Ignore" && validation !== "Warn" && validation !== "Strict") {
      throw badRequest(`fieldValidation: Unsupported value: ${JSON.stringify(validation)}: supported values: "Ignore", "Warn", "Strict"`);
    }
    const dryRun = query.getAll("dryRun");
    const unknown = dryRun.find((each) => each !== "All");
    if (unknown !== undefined) throw badRequest(`dryRun: Unsupported value: ${JSON.stringify(unknown)}: supported values: "All"`);
    const agent = (exchange.headers["user-agent"] ?? "").split("/")[0] ?? "";
    return {
      user,
      fieldManager: query.get("fieldManager") ?? (agent === "" ? "unknown" : agent.slice(0, 128)),
      fieldValidation: validation,
      dryRun: dryRun.length > 0,
      warn: (text) => void warnings.push(text),
    };
  }
}

function urlOf(target: string): URL {
  const url = URL.parse(target, "https://server");
  if (url === null) throw badRequest(`${JSON.stringify(target)} is no path of this server`);
  return url;
}

function notSpoken(subresource: string | undefined): ApiError {
  const instead: Readonly<Record<string, string>> = {
    portforward: "port-forward is not supported by Weft's API server; to reach a pod's port run: weft enter POD -- curl 127.0.0.1:PORT",
    attach: "attach is not supported by Weft's API server; to see what a container writes run: kubectl logs -f POD, to work in it: kubectl exec -it POD -- sh",
  };
  const message = instead[subresource ?? ""];
  return message === undefined ? new ApiError("NotFound", "the server could not find the requested resource") : new ApiError("NotImplemented", message);
}

function subresourceOf({ info, subresource, verb }: ResourceRequest): "status" | "finalize" | undefined {
  if (subresource === undefined) return undefined;
  if (subresource === "status" && info.hasStatus) return subresource;
  if (subresource === "finalize" && info.id === "Namespace" && verb === "update") return subresource;
  throw new ApiError("NotFound", "the server could not find the requested resource");
}

/** A Scale has no lists: a strategic merge patch of it is a merge patch. */
function asMerge(body: Body): Body {
  return body.mediaType === "application/strategic-merge-patch+json" ? { ...body, mediaType: "application/merge-patch+json" } : body;
}

function respond(exchange: HttpExchange, status: number, body: unknown, warnings: readonly string[] = [], contentType = "application/json"): void {
  exchange.respond(status, { "content-type": contentType, "cache-control": "no-cache, private", ...warningHeaders(warnings) }, `${JSON.stringify(body)}\n`);
}

/** RFC 9111 (once 7234): `299 - "text"`; several in one header, separated by commas. */
function warningHeaders(warnings: readonly string[]): Readonly<Record<string, string>> {
  if (warnings.length === 0) return {};
  const texts = [...new Set(warnings)].map((text) => `299 - "${text.replaceAll(/[\r\n]+/g, " ").replaceAll(/["\\]/g, "\\$&")}"`);
  return { warning: texts.join(", ") };
}
