/** What is installed has no field that its kind does not know: a misspelt one would silently do nothing. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { podTemplate } from "#model/core.ts";
import { decodeObject, isRecord } from "#model/decode.ts";
import { findKind, KINDS, type KindInfo } from "#model/kinds.ts";
import { decodeKubernetesConfig } from "#model/kubernetes-config.ts";
import { labelSelector, objectMeta } from "#model/meta.ts";
import { anyObject, anything, bool, int32, intOrString, list, oneOfTexts, struct, text, type SchemaFacts } from "#model/schema.ts";
import { admit } from "#model/validate.ts";
import { installManifests } from "./install.ts";
import { describeObject, installKindOf, objectPath } from "./manifest.ts";
import { testSettings } from "./test-settings.ts";

const rules = list(struct({ verbs: list(text), apiGroups: list(text), resources: list(text) }, { resourceNames: list(text) }));
const roleRef = struct({ apiGroup: text, kind: text, name: text }, {});
const subjects = list(struct({ kind: text, name: text, namespace: text }, {}));
const rolling = struct({ type: oneOfTexts("RollingUpdate") }, { rollingUpdate: struct({}, { maxUnavailable: intOrString, maxSurge: intOrString }) });
const version = struct(
  { name: text, served: bool, storage: bool, schema: struct({ openAPIV3Schema: anything }, {}) },
  { subresources: anyObject, additionalPrinterColumns: list(anyObject) },
);
const named = list(struct({ name: text, expression: text }, {}));
const admissionMatch = struct(
  {},
  {
    matchPolicy: oneOfTexts("Equivalent"),
    namespaceSelector: labelSelector,
    objectSelector: labelSelector,
    resourceRules: list(struct({ apiGroups: list(text), apiVersions: list(text), operations: list(text), resources: list(text), scope: text }, {})),
  },
);
const validation = struct({ expression: text }, { message: text, messageExpression: text, reason: oneOfTexts("Forbidden") });
const admissionPolicy = struct(
  { failurePolicy: oneOfTexts("Fail"), matchConstraints: admissionMatch, matchConditions: named, variables: named, validations: list(validation) },
  {},
);
const names = struct({ kind: text, listKind: text, plural: text, singular: text, shortNames: list(text), categories: list(text) }, {});
const webhook = struct(
  {
    name: text,
    clientConfig: struct({ service: struct({ namespace: text, name: text, path: text, port: int32 }, {}) }, {}),
    rules: list(struct({ operations: list(text), apiGroups: list(text), apiVersions: list(text), resources: list(text), scope: text }, {})),
    failurePolicy: oneOfTexts("Fail"),
    matchPolicy: oneOfTexts("Equivalent"),
    reinvocationPolicy: oneOfTexts("IfNeeded"),
    sideEffects: oneOfTexts("None"),
    timeoutSeconds: int32,
    admissionReviewVersions: list(text),
    namespaceSelector: labelSelector,
    objectSelector: labelSelector,
    matchConditions: list(struct({ name: text, expression: text }, {})),
  },
  {},
);

/** Of kinds that Weft installs and otherwise does not know. */
const foreign: Readonly<Record<string, Readonly<Record<string, SchemaFacts>>>> = {
  CustomResourceDefinition: { spec: struct({ group: text, names, scope: oneOfTexts("Namespaced", "Cluster"), versions: list(version) }, {}) },
  ClusterRole: { rules },
  Role: { rules },
  ClusterRoleBinding: { roleRef, subjects },
  RoleBinding: { roleRef, subjects },
  PodDisruptionBudget: { spec: struct({ maxUnavailable: intOrString, selector: labelSelector }, {}) },
  DaemonSet: { spec: struct({ selector: labelSelector, template: podTemplate, updateStrategy: rolling }, { minReadySeconds: int32 }) },
  MutatingWebhookConfiguration: { webhooks: list(webhook) },
  ValidatingAdmissionPolicy: { spec: admissionPolicy },
  ValidatingAdmissionPolicyBinding: {
    spec: struct({ policyName: text, validationActions: list(oneOfTexts("Deny")), matchResources: admissionMatch }, {}),
  },
};

function kindOf(kind: string): KindInfo {
  const schema = struct({}, { apiVersion: text, kind: text, metadata: objectMeta, ...(foreign[kind] ?? assert.fail(`no schema of ${kind}`)) });
  return { ...KINDS.ConfigMap, kind, schema };
}

for (const profile of ["full", "mesh"] as const) {
  describe(`profile ${profile}`, () => {
    const manifests = installManifests(testSettings({ profile }));

    for (const manifest of manifests) {
      test(`${describeObject(manifest)} is as its kind has it`, () => {
        const known = findKind(manifest.apiVersion, manifest.kind);
        const { unknown, problems } = known === undefined ? decodeObject(kindOf(manifest.kind), manifest) : admit(known, manifest);
        assert.deepEqual({ unknown, problems }, { unknown: [], problems: [] });
        assert.equal(manifest.metadata.namespace !== undefined, installKindOf(manifest).namespaced);
      });
    }

    test("no object is there twice", () => {
      assert.equal(new Set(manifests.map(objectPath)).size, manifests.length);
    });

    test("its configuration is one that programs accept", () => {
      const { data } = manifests.find(({ kind }) => kind === "ConfigMap") ?? assert.fail();
      assert.deepEqual(decodeKubernetesConfig(isRecord(data) ? JSON.parse(String(data["config.json"])) : undefined).problems, []);
    });
  });
}

test("what is not wanted is not there", () => {
  const settings = testSettings();
  const kinds = installManifests({ ...settings, crds: { install: false }, gateway: { ...settings.gateway, install: false }, dns: { service: false } }).map(
    describeObject,
  );
  assert.deepEqual(
    kinds.filter((name) => /CustomResource|ingressgateway|kube-dns/.test(name)),
    [],
  );
});
