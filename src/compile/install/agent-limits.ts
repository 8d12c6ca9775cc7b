/**
 * What agents may write beyond what RBAC can say: it knows kinds, but not whose object it is. The API server itself holds each
 * agent to its own node (its token is bound to its pod, and so says which node that runs on): one that is taken over speaks
 * for no other, and of its own node it says nothing but that the network is up.
 *
 * Nobody but agents is asked, and it is decided in the API server, so there is nothing to wait for: without the policy
 * agents work as before, and nothing of the cluster waits for it in either case.
 */
import { AGENT, own, SYSTEM, type Manifest } from "./manifest.ts";

const ADMISSION = "admissionregistration.k8s.io/v1";
/** KEP-4193; since Kubernetes 1.30. */
const NODE_NAME = "authentication.kubernetes.io/node-name";
const EVERYTHING = { matchPolicy: "Equivalent", namespaceSelector: {}, objectSelector: {} } as const;

/** Of a node's status what an agent could gain by: who is where, and what fits there. Fields that every server has since 1.30. */
const KEPT = ["addresses", "allocatable", "capacity", "daemonEndpoints", "images", "nodeInfo", "volumesAttached", "volumesInUse"];
/** Writes to a node's status may change these, too. */
const KEPT_METADATA = ["annotations", "finalizers", "labels", "ownerReferences"];
const same = (path: string, fields: readonly string[]) => fields.map((field) => `object.${path}.?${field} == oldObject.${path}.?${field}`);
const otherConditions = (object: string) => `${object}.status.?conditions.orValue([]).filter(c, c.type != 'NetworkUnavailable')`;

interface Limit {
  readonly name: string;
  readonly resource: string;
  readonly operations: readonly string[];
  /** Expressions that must hold, each with what is answered when it does not: an expression as well. */
  readonly holds: readonly (readonly [expression: string, answer: string])[];
}

const limits: readonly Limit[] = [
  {
    name: "weft-agent-nodes",
    resource: "nodes/status",
    operations: ["UPDATE"],
    holds: [
      ["object.metadata.name == variables.node", "'may not write the status of node ' + object.metadata.name"],
      [
        [...same("metadata", KEPT_METADATA), ...same("status", KEPT), `${otherConditions("object")} == ${otherConditions("oldObject")}`].join(" && "),
        "'may write the condition NetworkUnavailable of its node and nothing else'",
      ],
    ],
  },
  {
    name: "weft-agent-events",
    resource: "events",
    operations: ["CREATE", "UPDATE"],
    holds: [
      [
        `object.?source.?host.orValue('') == variables.node && object.?reportingComponent.orValue('') == '${AGENT}'`,
        `'may write events of its own only: source.host is its node, reportingComponent ${AGENT}'`,
      ],
    ],
  },
];

function policyOf({ name, resource, operations, holds }: Limit): Manifest {
  return {
    apiVersion: ADMISSION,
    kind: "ValidatingAdmissionPolicy",
    metadata: own(name),
    spec: {
      failurePolicy: "Fail",
      matchConstraints: { ...EVERYTHING, resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations, resources: [resource], scope: "*" }] },
      matchConditions: [{ name: "is-an-agent", expression: `request.userInfo.username == 'system:serviceaccount:${SYSTEM}:${AGENT}'` }],
      variables: [{ name: "node", expression: `request.userInfo.?extra[?'${NODE_NAME}'].orValue([''])[0]` }],
      validations: [
        { expression: "variables.node != ''", message: `${AGENT} writes with a token that is bound to its pod; this one says no node`, reason: "Forbidden" },
        ...holds.map(([expression, answer]) => ({
          expression,
          messageExpression: `'${AGENT} of node ' + variables.node + ' ' + ${answer}`,
          reason: "Forbidden",
        })),
      ],
    },
  };
}

function bindingOf({ name }: Limit): Manifest {
  return {
    apiVersion: ADMISSION,
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: own(name),
    spec: { policyName: name, validationActions: ["Deny"], matchResources: EVERYTHING },
  };
}

export const agentLimits: readonly Manifest[] = limits.flatMap((limit) => [policyOf(limit), bindingOf(limit)]);
