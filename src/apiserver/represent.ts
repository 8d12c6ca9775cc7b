/** How a client wants objects written: as themselves, as rows of a Table (kubectl get), or as their metadata only. */
import type { KubeObject } from "#model/object.ts";
import { columnsOf, type Column } from "./columns.ts";
import type { Place } from "./registry.ts";
import { ApiError } from "./status.ts";

export type Form = "object" | "table" | "metadata";

/** From the Accept header; only JSON is spoken. */
export function formOf(accept: string | undefined): Form {
  if (accept === undefined || accept === "") return "object";
  for (const each of accept.split(",")) {
    const [type = "", ...parameters] = each.split(";").map((part) => part.trim());
    const as = parameters.find((parameter) => parameter.startsWith("as="))?.slice(3);
    const isJson = type === "application/json" || type === "application/*" || type === "*/*";
    if (!isJson) continue;
    if (as === undefined) return "object";
    if (as === "Table") return "table";
    if (as === "PartialObjectMetadata" || as === "PartialObjectMetadataList") return "metadata";
  }
  if (/yaml/.test(accept)) return "object";
  throw new ApiError("NotAcceptable", "only the following media types are accepted: application/json, application/yaml");
}

export interface Representation {
  one(object: KubeObject): unknown;
  many(objects: readonly KubeObject[], metadata: Readonly<Record<string, unknown>>): unknown;
}

export interface RepresentationOptions {
  /** "None", "Object"; rows of a table carry the metadata otherwise. */
  readonly includeObject: string | null;
  readonly now: number;
  /** Absent: those of the kind. */
  readonly columns?: readonly Column[];
}

export function representation(form: Form, place: Place, options: RepresentationOptions): Representation {
  const apiVersion = place.info.group === "" ? place.version : `${place.info.group}/${place.version}`;
  const own = (object: KubeObject) => (object.apiVersion === apiVersion ? object : { ...object, apiVersion });
  if (form === "table") {
    const rows = (objects: readonly KubeObject[], metadata: Readonly<Record<string, unknown>>) =>
      table(options.columns ?? columnsOf(place.info.id), objects.map(own), metadata, options);
    return { one: (object) => rows([object], { resourceVersion: object.metadata.resourceVersion }), many: rows };
  }
  if (form === "metadata") {
    return {
      one: partial,
      many: (objects, metadata) => ({ kind: "PartialObjectMetadataList", apiVersion: "meta.k8s.io/v1", metadata, items: objects.map(partial) }),
    };
  }
  return { one: own, many: (objects, metadata) => ({ kind: `${place.info.kind}List`, apiVersion, metadata, items: objects.map(own) }) };
}

function partial({ metadata }: KubeObject): unknown {
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata };
}

function table(
  columns: readonly Column[],
  objects: readonly KubeObject[],
  metadata: Readonly<Record<string, unknown>>,
  options: RepresentationOptions,
): unknown {
  const attached = (object: KubeObject) => (options.includeObject === "None" ? {} : { object: options.includeObject === "Object" ? object : partial(object) });
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata,
    columnDefinitions: columns.map(({ name, type, wide }) => ({
      name,
      type,
      format: name === "Name" ? "name" : "",
      description: "",
      priority: wide === true ? 1 : 0,
    })),
    rows: objects.map((object) => ({
      cells: columns.map(({ cell }) => (cell as (object: KubeObject, now: number) => string | number)(object, options.now)),
      ...attached(object),
    })),
  };
}
