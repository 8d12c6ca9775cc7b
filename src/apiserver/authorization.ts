/**
 * Who asks and what they may. Client certificates name the user (CN) and groups (O). `system:masters` may everything; a
 * node's agent and pod runtime may read what they compile from, write their own Node, their pods' status, their lease and
 * events, and read just those Secrets and ConfigMaps that pods of their node use. Everybody else may only ask who they are.
 */
import type { HttpPeer } from "#host/http.ts";
import type { Pod, PodSpec } from "#model/core.ts";
import type { KubeObject } from "#model/object.ts";
import type { ResourceRequest } from "./route.ts";
import { ApiError, resourceName } from "./status.ts";
import type { Store } from "./store.ts";

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

/** Throws 401 for a certificate that does not count. */
export function authenticate(peer: HttpPeer): User {
  if (peer.certificate !== undefined) return { name: peer.certificate.commonName, groups: [...peer.certificate.organizations, "system:authenticated"] };
  if (peer.certificateProblem !== undefined) throw new ApiError("Unauthorized", `Unauthorized: client certificate refused: ${peer.certificateProblem}`);
  return { name: "system:anonymous", groups: ["system:unauthenticated"] };
}

export function nodeOf(user: User): string | undefined {
  return user.groups.includes("system:nodes") && user.name.startsWith("system:node:") ? user.name.slice("system:node:".length) : undefined;
}

export type Attributes = Pick<ResourceRequest, "info" | "namespace" | "name" | "subresource" | "verb"> & { readonly fieldSelector?: string | null };

export function isAllowed(user: User, request: Attributes, store: Store): boolean {
  if (user.groups.includes("system:masters")) return true;
  const node = nodeOf(user);
  return node !== undefined && nodeMay(node, request, store);
}

const reads = ["get", "list", "watch"];
const podWrites = ["update", "patch"];

function nodeMay(node: string, request: Attributes, store: Store): boolean {
  const { info, verb, subresource, name } = request;
  if (reads.includes(verb) && subresource === undefined) {
    return info.id === "Secret" || info.id === "ConfigMap" ? isUsedOn(node, request, store) : true;
  }
  switch (info.id) {
    case "Node":
      return (name === undefined ? verb === "create" : name === node) && (subresource === undefined || subresource === "status") && verb !== "delete";
    case "Pod": {
      const pod = store.get("Pod", `${request.namespace ?? ""}/${name ?? ""}`) as Pod | undefined;
      if (pod?.spec.nodeName !== node) return false;
      return subresource === "status" ? podWrites.includes(verb) : subresource === undefined && verb === "delete";
    }
    case "Event":
      return ["create", "update", "patch"].includes(verb);
    case "Lease":
      return request.namespace === "kube-node-lease" && (name === undefined ? verb === "create" : name === node);
    default:
      return false;
  }
}

/** Whether a pod bound to the node names this Secret or ConfigMap. */
function isUsedOn(node: string, request: Attributes, store: Store): boolean {
  const name = request.name ?? /^metadata\.name==?([^,]+)$/.exec(request.fieldSelector ?? "")?.[1];
  if (name === undefined || request.namespace === undefined) return false;
  for (const object of store.all("Pod")) {
    const pod = object as Pod;
    if (pod.spec.nodeName !== node || pod.metadata.namespace !== request.namespace) continue;
    if (request.info.id === "Secret" ? usedSecrets(pod.spec).has(name) : usedConfigMaps(pod.spec).has(name)) return true;
  }
  return false;
}

function usedSecrets(spec: PodSpec): ReadonlySet<string | undefined> {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  return new Set([
    ...(spec.volumes ?? []).flatMap((volume) => [volume.secret?.secretName, ...(volume.projected?.sources ?? []).map((source) => source.secret?.name)]),
    ...containers.flatMap((container) => [
      ...(container.env ?? []).map((env) => env.valueFrom?.secretKeyRef?.name),
      ...(container.envFrom ?? []).map((from) => from.secretRef?.name),
    ]),
    ...(spec.imagePullSecrets ?? []).map((reference) => reference.name),
  ]);
}

function usedConfigMaps(spec: PodSpec): ReadonlySet<string | undefined> {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  return new Set([
    ...(spec.volumes ?? []).flatMap((volume) => [volume.configMap?.name, ...(volume.projected?.sources ?? []).map((source) => source.configMap?.name)]),
    ...containers.flatMap((container) => [
      ...(container.env ?? []).map((env) => env.valueFrom?.configMapKeyRef?.name),
      ...(container.envFrom ?? []).map((from) => from.configMapRef?.name),
    ]),
  ]);
}

export function forbiddenFor(user: User, request: Attributes): ApiError {
  const { info, namespace, name, subresource, verb } = request;
  const resource = JSON.stringify(subresource === undefined ? info.plural : `${info.plural}/${subresource}`);
  const what = `${resourceName(info)}${name === undefined ? "" : ` ${JSON.stringify(name)}`} is forbidden`;
  const where = namespace === undefined ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`;
  return new ApiError(
    "Forbidden",
    `${what}: User ${JSON.stringify(user.name)} cannot ${verb} resource ${resource} in API group ${JSON.stringify(info.group)} ${where}`,
    {
      ...(name === undefined ? {} : { name }),
      ...(info.group === "" ? {} : { group: info.group }),
      kind: info.plural,
    },
  );
}

/** A node may not make a Node, or a Lease, of another name. */
export function nodeMayCreate(node: string, object: KubeObject): boolean {
  return !(object.kind === "Node" || object.kind === "Lease") || object.metadata.name === node;
}
