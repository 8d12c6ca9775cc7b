/** Rules of single kinds that look at several fields, or at the object as it was. */
import { deploymentRules, replicaSetRules } from "./apps-rules.ts";
import { podRules } from "./pod-rules.ts";
import { destinationRuleRules, istioGatewayRules, virtualServiceRules } from "./istio-kind-rules.ts";
import type { GatewayClass } from "./gateway-api.ts";
import type { KindId, Kinds } from "./kinds.ts";
import { networkPolicyRules } from "./networking-rules.ts";
import type { KubeObject } from "./object.ts";
import { forbidden, invalid, type Problem } from "./problem.ts";
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
    ...keyProblems("data", object.data),
    ...keyProblems("binaryData", object.binaryData),
    ...immutableProblems(object, old, ["data", "binaryData"]),
  ],
  Secret: (object, old) => [
    ...keyProblems("data", object.data),
    ...immutableProblems(object, old, ["data"]),
    ...(old !== undefined && old.type !== object.type ? [invalid("type", object.type, "field is immutable")] : []),
  ],
  EndpointSlice: (object, old) =>
    old !== undefined && old.addressType !== object.addressType ? [invalid("addressType", object.addressType, "field is immutable")] : [],
  GatewayClass: (object: GatewayClass, old) =>
    old !== undefined && old.spec.controllerName !== object.spec.controllerName
      ? [invalid("spec.controllerName", object.spec.controllerName, "Value is immutable")]
      : [],
};

export function kindRules(id: KindId, object: KubeObject, old: KubeObject | undefined): readonly Problem[] {
  const rule = rules[id] as ((object: KubeObject, old: KubeObject | undefined) => readonly Problem[]) | undefined;
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
