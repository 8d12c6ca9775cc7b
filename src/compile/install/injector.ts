/**
 * The injector's webhook. It fails closed, so it must never be asked about what it needs itself to live again: nothing of
 * Weft's or of Kubernetes' own namespaces, and no pod that uses its node's network, waits for it. Its caBundle is the leader's.
 */
import { CONTROL, own, SYSTEM, WEBHOOK, type Manifest } from "./manifest.ts";

const INJECT = "sidecar.istio.io/inject";
const ENABLED = "istio-injection";
const NAME = "kubernetes.io/metadata.name";
const NEVER = ["kube-system", "kube-public", "kube-node-lease", SYSTEM];

/** CEL: whether the pod says "true" (a label, or as it was once written, an annotation). */
const asks = (map: string) => `(has(object.metadata.${map}) && '${INJECT}' in object.metadata.${map} && object.metadata.${map}['${INJECT}'] == 'true')`;
const notOfTheNode = { name: "not-of-the-nodes-network", expression: "!has(object.spec.hostNetwork) || !object.spec.hostNetwork" };

const webhook = {
  clientConfig: { service: { namespace: SYSTEM, name: CONTROL, path: "/inject", port: 443 } },
  rules: [
    { operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], scope: "Namespaced" },
    // A container that comes later (kubectl debug) must not pass for the proxy either.
    { operations: ["UPDATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods/ephemeralcontainers"], scope: "Namespaced" },
  ],
  failurePolicy: "Fail",
  matchPolicy: "Equivalent",
  // Another webhook may add containers, which are then of the mesh as well.
  reinvocationPolicy: "IfNeeded",
  sideEffects: "None",
  timeoutSeconds: 5,
  admissionReviewVersions: ["v1"],
};

export const injector: Manifest = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  metadata: own(WEBHOOK),
  webhooks: [
    {
      ...webhook,
      name: "namespace.injector.weft.dev",
      namespaceSelector: {
        matchExpressions: [
          { key: ENABLED, operator: "In", values: ["enabled"] },
          { key: NAME, operator: "NotIn", values: NEVER },
        ],
      },
      objectSelector: { matchExpressions: [{ key: INJECT, operator: "NotIn", values: ["false"] }] },
      matchConditions: [notOfTheNode],
    },
    {
      ...webhook,
      name: "pod.injector.weft.dev",
      namespaceSelector: {
        matchExpressions: [
          { key: ENABLED, operator: "NotIn", values: ["enabled"] },
          { key: NAME, operator: "NotIn", values: NEVER },
        ],
      },
      objectSelector: {},
      matchConditions: [notOfTheNode, { name: "asks-for-it", expression: `${asks("labels")} || ${asks("annotations")}` }],
    },
  ],
};
