/** scale, binding, and the reviews by which clients ask what they may. */
import type { Deployment } from "#model/apps.ts";
import type { Pod } from "#model/core.ts";
import { isRecord } from "#model/decode.ts";
import { findResource } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { isAllowed, nodeOf, type User } from "./authorization.ts";
import { present, timestamp, type Call, type Place, type Registry } from "./registry.ts";
import { badRequest, conflict } from "./status.ts";
import type { Store } from "./store.ts";

/** autoscaling/v1. */
export interface Scale extends KubeObject {
  readonly spec: { readonly replicas: number };
  readonly status: { readonly replicas: number; readonly selector: string };
}

export function scaleOf(object: KubeObject): Scale {
  const { metadata, spec, status } = object as Deployment;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const labels = Object.entries(spec.selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: present({ name, namespace, uid, resourceVersion, creationTimestamp }) as KubeObject["metadata"],
    spec: { replicas: spec.replicas ?? 0 },
    status: { replicas: status?.replicas ?? 0, selector: labels.join(",") },
  };
}

/** The object with the replicas that a Scale asks for. */
export function withScale(object: KubeObject, scale: unknown): KubeObject {
  const spec = isRecord(scale) && isRecord(scale["spec"]) ? scale["spec"] : {};
  const replicas = spec["replicas"] ?? 0;
  if (typeof replicas !== "number") throw badRequest("spec.replicas of a Scale must be a number");
  const metadata = isRecord(scale) && isRecord(scale["metadata"]) ? scale["metadata"] : {};
  const resourceVersion = metadata["resourceVersion"];
  const { spec: own } = object as Deployment;
  const locked = {
    ...object.metadata,
    resourceVersion: typeof resourceVersion === "string" && resourceVersion !== "" ? resourceVersion : object.metadata.resourceVersion,
  };
  return { ...object, metadata: locked, spec: { ...own, replicas } } as KubeObject;
}

/** A scheduler's decision. A pod is bound once. */
export function bind(registry: Registry, place: Place, name: string, binding: unknown, call: Call): void {
  const target = isRecord(binding) && isRecord(binding["target"]) ? binding["target"]["name"] : undefined;
  if (typeof target !== "string" || target === "") throw badRequest("target.name of a Binding must name a node");
  const pod = registry.get(place, name) as Pod;
  if (pod.metadata.deletionTimestamp !== undefined) throw conflict(place.info, name, `pod ${name} is being deleted, cannot be assigned to a host`);
  if ((pod.spec.nodeName ?? "") !== "") throw conflict(place.info, name, `pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`);
  const scheduled = { type: "PodScheduled", status: "True", lastTransitionTime: timestamp(registry.clock.now()) };
  const conditions = [...(pod.status?.conditions ?? []).filter(({ type }) => type !== "PodScheduled"), scheduled];
  const bound = { ...pod, spec: { ...pod.spec, nodeName: target }, status: { ...pod.status, conditions } };
  if (!call.dryRun) registry.store.put("Pod", bound);
}

export function review(which: string, body: unknown, user: User, store: Store): unknown {
  if (which === "authentication.k8s.io/selfsubjectreviews") {
    return {
      kind: "SelfSubjectReview",
      apiVersion: "authentication.k8s.io/v1",
      metadata: {},
      status: { userInfo: { username: user.name, groups: user.groups } },
    };
  }
  if (which === "authorization.k8s.io/selfsubjectrulesreviews") return rulesReview(user);
  if (which !== "authorization.k8s.io/selfsubjectaccessreviews") return undefined;
  const spec = isRecord(body) && isRecord(body["spec"]) ? body["spec"] : {};
  const attributes = isRecord(spec["resourceAttributes"]) ? spec["resourceAttributes"] : {};
  const text = (name: string) => (typeof attributes[name] === "string" && attributes[name] !== "" ? attributes[name] : undefined);
  const info = findResource(text("group") ?? "", text("resource") ?? "");
  const isMaster = user.groups.includes("system:masters");
  const allowed =
    info === undefined
      ? isMaster
      : isAllowed(user, { info, verb: text("verb") ?? "", namespace: text("namespace"), name: text("name"), subresource: text("subresource") }, store);
  return { kind: "SelfSubjectAccessReview", apiVersion: "authorization.k8s.io/v1", metadata: {}, spec, status: { allowed } };
}

/** `kubectl auth can-i --list`. */
function rulesReview(user: User): unknown {
  const everything = { resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }], nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }] };
  const reviews = {
    verbs: ["create"],
    apiGroups: ["authentication.k8s.io", "authorization.k8s.io"],
    resources: ["selfsubjectreviews", "selfsubjectaccessreviews"],
  };
  const isNode = nodeOf(user) !== undefined;
  const few = {
    resourceRules: [reviews],
    nonResourceRules: [{ verbs: ["get"], nonResourceURLs: ["/healthz", "/livez", "/readyz", "/version", "/api*", "/openapi/*"] }],
  };
  const status = user.groups.includes("system:masters")
    ? { ...everything, incomplete: false }
    : {
        ...few,
        incomplete: isNode,
        ...(isNode ? { evaluationError: "what a node may do depends on the object: ask with kubectl auth can-i VERB TYPE/NAME" } : {}),
      };
  return { kind: "SelfSubjectRulesReview", apiVersion: "authorization.k8s.io/v1", metadata: {}, spec: {}, status };
}
