/**
 * The injector's webhook. It fails closed, so it must never be asked about what it needs itself to live again: nothing of
 * Weft's or of Kubernetes' own namespaces, and no pod that uses its node's network, waits for it. Its caBundle is the leader's.
 */
import { PROXY_CONTAINER } from "#compile/inject/proxy-kind.ts";
import { rootNamespace } from "#compile/mesh/settings.ts";
import { CONTROL, own, SYSTEM, WEBHOOK, type Manifest } from "./manifest.ts";

const INJECT = "sidecar.istio.io/inject";
const ENABLED = "istio-injection";
const NAME = "kubernetes.io/metadata.name";
const NEVER = ["kube-system", "kube-public", "kube-node-lease", SYSTEM];

/** CEL: whether the pod says "true" (a label, or as it was once written, an annotation). */
const asks = (map: string) => `(has(object.metadata.${map}) && '${INJECT}' in object.metadata.${map} && object.metadata.${map}['${INJECT}'] == 'true')`;
/** CEL: whether a container bears the name by which agents know a proxy. */
const HAS_PROXY = `object.spec.containers.exists(c, c.name == '${PROXY_CONTAINER}') || (has(object.spec.initContainers) && object.spec.initContainers.exists(c, c.name == '${PROXY_CONTAINER}'))`;
const hasProxy = { name: "has-a-proxy", expression: HAS_PROXY };
/** The ingress gateway is written with its proxy, so that it waits for nobody (gateway.ts). */
const NOT_THE_GATEWAYS = `request.namespace != '${rootNamespace}'`;
const notOfTheNode = { name: "not-of-the-nodes-network", expression: "!has(object.spec.hostNetwork) || !object.spec.hostNetwork" };

const webhook = {
  clientConfig: { service: { namespace: SYSTEM, name: CONTROL, path: "/inject", port: 443 } },
  rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], scope: "Namespaced" }],
  failurePolicy: "Fail",
  matchPolicy: "Equivalent",
  // Another webhook may add containers, which are then of the mesh as well.
  reinvocationPolicy: "IfNeeded",
  sideEffects: "None",
  timeoutSeconds: 5,
  admissionReviewVersions: ["v1"],
};

const isEnabled = { key: ENABLED, operator: "In", values: ["enabled"] };
const isNotEnabled = { key: ENABLED, operator: "NotIn", values: ["enabled"] };
const notOurs = { key: NAME, operator: "NotIn", values: NEVER };

export const injector: Manifest = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  metadata: own(WEBHOOK),
  webhooks: [
    {
      ...webhook,
      name: "namespace.injector.weft.dev",
      namespaceSelector: { matchExpressions: [isEnabled, notOurs] },
      objectSelector: { matchExpressions: [{ key: INJECT, operator: "NotIn", values: ["false"] }] },
      matchConditions: [notOfTheNode],
    },
    {
      ...webhook,
      name: "pod.injector.weft.dev",
      namespaceSelector: { matchExpressions: [isNotEnabled, notOurs] },
      objectSelector: {},
      // One that brings a proxy of its own is refused: it would have a certificate, and run whatever it likes.
      matchConditions: [
        notOfTheNode,
        { name: "asks-for-it", expression: `${asks("labels")} || ${asks("annotations")} || (${NOT_THE_GATEWAYS} && (${HAS_PROXY}))` },
      ],
    },
    {
      ...webhook,
      name: "own-proxy.injector.weft.dev",
      namespaceSelector: { matchExpressions: [isEnabled, notOurs] },
      objectSelector: { matchLabels: { [INJECT]: "false" } },
      matchConditions: [notOfTheNode, hasProxy],
    },
    {
      ...webhook,
      name: "debug.injector.weft.dev",
      // A container that comes later (kubectl debug) must not pass for the proxy either. Labels may have changed since the pod was injected.
      rules: [{ operations: ["UPDATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods/ephemeralcontainers"], scope: "Namespaced" }],
      namespaceSelector: { matchExpressions: [notOurs] },
      objectSelector: {},
      matchConditions: [notOfTheNode, hasProxy],
    },
  ],
};
