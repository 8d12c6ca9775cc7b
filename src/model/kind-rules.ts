/** Rules of single kinds that look at several fields, or at the object as it was. */
import { deploymentRules, replicaSetRules } from "./apps-rules.ts";
import { podRules } from "./pod-rules.ts";
import { destinationRuleRules, istioGatewayRules, virtualServiceRules } from "./istio-kind-rules.ts";
import type { GatewayClass } from "./gateway-api.ts";
import { endpointSliceRules } from "./endpoint-slice-rules.ts";
import type { KindId, KindInfo, Kinds } from "./kinds.ts";
import { networkPolicyRules } from "./networking-rules.ts";
import type { KubeObject } from "./object.ts";
import { forbidden, invalid, required, tooLong, type Problem } from "./problem.ts";
import { serviceRules } from "./service-rules.ts";

type Rules<K extends KindId> = (object: Kinds[K], old: Kinds[K] | undefined) => readonly Problem[];

const rules: { readonly [K in KindId]?: Rules<K> } = {
  Pod: podRules,
  Deployment: deploymentRules,
  ReplicaSet: replicaSetRules,
  Service: serviceRules,
  NetworkPolicy: networkPolicyRules,
  VirtualService: virtualServiceRules,
  DestinationRule: destinationRuleRules,
  IstioGateway: istioGatewayRules,
  ConfigMap: (object, old) => [
    ...sizeProblems({ ...object.data, ...object.binaryData }),
    ...keyProblems("data", object.data),
    ...keyProblems("binaryData", object.binaryData),
    ...Object.keys(object.data ?? {})
      .filter((key) => object.binaryData?.[key] !== undefined)
      .map((key) => invalid(`data[${key}]`, key, "duplicate of key present in binaryData")),
    ...immutableProblems(object, old, ["data", "binaryData"]),
  ],
  Secret: (object, old) => [
    ...sizeProblems(object.data ?? {}),
    ...keyProblems("data", object.data),
    ...(secretKeys[object.type ?? ""] ?? []).filter((key) => object.data?.[key] === undefined).map((key) => required(`data[${key}]`)),
    ...immutableProblems(object, old, ["data"]),
    ...(old !== undefined && old.type !== object.type ? [invalid("type", object.type, "field is immutable")] : []),
  ],
  EndpointSlice: endpointSliceRules,
  Lease: ({ spec }) => {
    const { leaseDurationSeconds: seconds, leaseTransitions: transitions } = spec ?? {};
    return [
      ...(seconds !== undefined && seconds <= 0 ? [invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")] : []),
      ...(transitions !== undefined && transitions < 0 ? [invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0")] : []),
    ];
  },
  GatewayClass: (object: GatewayClass, old) =>
    old !== undefined && old.spec.controllerName !== object.spec.controllerName
      ? [invalid("spec.controllerName", object.spec.controllerName, "Value is immutable")]
      : [],
};

/** MaxSecretSize of Kubernetes, for ConfigMaps too. */
const MAX_DATA_BYTES = 1024 * 1024;

function sizeProblems(data: Readonly<Record<string, string>>): Problem[] {
  const bytes = Object.values(data).reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  return bytes > MAX_DATA_BYTES ? [tooLong("data", MAX_DATA_BYTES)] : [];
}

/** What a Secret of a type must have. */
const secretKeys: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
  "kubernetes.io/dockercfg": [".dockercfg"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
};

/** Fields within may miss though they are required (said by the caller); without a required spec there is nothing to look at. */
export function kindRules({ id, schema }: KindInfo, object: KubeObject, old: KubeObject | undefined): readonly Problem[] {
  const rule = rules[id] as ((object: KubeObject, old: KubeObject | undefined) => readonly Problem[]) | undefined;
  if (schema.required?.includes("spec") === true && (object as { readonly spec?: unknown }).spec === undefined) return [];
  return rule?.(object, old) ?? [];
}

function keyProblems(field: string, data: Readonly<Record<string, string>> | undefined): Problem[] {
  const bad = Object.keys(data ?? {}).filter((key) => !/^[-._a-zA-Z0-9]{1,253}$/.test(key) || key === "." || key === "..");
  return bad.map((key) =>
    invalid(
      `${field}[${key}]`,
      key,
      "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    ),
  );
}

function immutableProblems(
  object: KubeObject & { readonly immutable?: boolean },
  old: (KubeObject & { readonly immutable?: boolean }) | undefined,
  fields: readonly string[],
): Problem[] {
  if (old?.immutable !== true) return [];
  const text = (of: object, field: string) => JSON.stringify((of as Readonly<Record<string, unknown>>)[field]);
  const problems = fields
    .filter((field) => text(object, field) !== text(old, field))
    .map((field) => forbidden(field, "field is immutable when `immutable` is set"));
  return object.immutable === true ? problems : [...problems, forbidden("immutable", "field is immutable when `immutable` is set")];
}
