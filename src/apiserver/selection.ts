/** Which objects a list or watch wants: namespace, label selector, field selector. */
import { isRecord } from "#model/decode.ts";
import type { KindId, KindInfo } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { matchesRequirements, parseRequirements } from "#model/selectors.ts";
import { badRequest } from "./status.ts";

const everywhere = ["metadata.name", "metadata.namespace"];
const ofKind: { readonly [K in KindId]?: readonly string[] } = {
  Pod: [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
  ],
  Node: ["spec.unschedulable"],
  Namespace: ["status.phase"],
  Secret: ["type"],
  Service: ["spec.clusterIP", "spec.type"],
  ReplicaSet: ["status.replicas"],
  Event: [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
  ],
};

export type Selection = (object: KubeObject) => boolean;

export function selectionOf(
  info: KindInfo,
  query: URLSearchParams,
  place: { readonly namespace: string | undefined; readonly name?: string | undefined },
): Selection {
  const requirements = parseRequirements(query.get("labelSelector") ?? "");
  if (typeof requirements === "string") throw badRequest(requirements);
  const fields = parseFields(info, query.get("fieldSelector") ?? "");
  return ({ metadata, ...rest }) => {
    if (place.namespace !== undefined && metadata.namespace !== place.namespace) return false;
    if (place.name !== undefined && metadata.name !== place.name) return false;
    if (!matchesRequirements(requirements, metadata.labels)) return false;
    return fields.every(({ path, value, equal }) => (fieldOf({ metadata, ...rest }, path) === value) === equal);
  };
}

interface FieldRequirement {
  readonly path: string;
  readonly value: string;
  readonly equal: boolean;
}

function parseFields(info: KindInfo, selector: string): readonly FieldRequirement[] {
  if (selector.trim() === "") return [];
  return selector.split(",").map((part) => {
    const found = /^\s*([^=!]+?)\s*(==|=|!=)(.*)$/.exec(part);
    if (found?.[1] === undefined) throw badRequest(`invalid selector: ${JSON.stringify(part)}; can't understand ${JSON.stringify(part)}`);
    const path = found[1];
    const known = [...everywhere, ...(ofKind[info.id] ?? [])];
    if (!known.includes(path)) {
      const names = known.map((each) => JSON.stringify(each)).join(", ");
      throw badRequest(`${JSON.stringify(path)} is not a known field selector: only ${names}`);
    }
    return { path, value: (found[3] ?? "").replaceAll(/\\([\\,=])/g, "$1"), equal: found[2] !== "!=" };
  });
}

function fieldOf(object: object, path: string): string {
  let value: unknown = object;
  // Events are selected by `source`, which means its component.
  for (const name of (path === "source" ? "source.component" : path).split(".")) value = isRecord(value) ? value[name] : undefined;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
  return path === "spec.unschedulable" || path === "spec.hostNetwork" ? "false" : "";
}
