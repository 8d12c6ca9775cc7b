/**
 * A proxy stays what injection made it: of a pod that runs, images may be changed, and what would run then as istio-proxy had the
 * pod's identity. Decided in the API server, so nothing waits for Weft, and whatever else changes in a pod is not looked at.
 */
import { PROXY_CONTAINER } from "#compile/inject/proxy-kind.ts";
import { own, type Manifest } from "./manifest.ts";

const ADMISSION = "admissionregistration.k8s.io/v1";
const NAME = "weft-proxy-images";
const EVERYTHING = { matchPolicy: "Equivalent", namespaceSelector: {}, objectSelector: {} } as const;

/** CEL: images of its proxies, at most one. */
const images = (object: string, list: string) => `${object}.spec.?${list}.orValue([]).filter(c, c.name == '${PROXY_CONTAINER}').map(c, c.image)`;
const isKept = (list: string) => `${images("object", list)} == ${images("oldObject", list)}`;

export const proxyLimits: readonly Manifest[] = [
  {
    apiVersion: ADMISSION,
    kind: "ValidatingAdmissionPolicy",
    metadata: own(NAME),
    spec: {
      failurePolicy: "Fail",
      matchConstraints: { ...EVERYTHING, resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["pods"], scope: "*" }] },
      validations: [
        {
          expression: `${isKept("initContainers")} && ${isKept("containers")}`,
          message: `the image of container ${PROXY_CONTAINER} stays as injection made it; a pod that is made anew gets the current one`,
          reason: "Forbidden",
        },
      ],
    },
  },
  {
    apiVersion: ADMISSION,
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: own(NAME),
    spec: { policyName: NAME, validationActions: ["Deny"], matchResources: EVERYTHING },
  },
];
