/**
 * Who may do what, as little as it can be: every rule stands beside the code that needs it. What one object suffices for is
 * granted by its name; "create" cannot be (the API server does not know the name yet), so it stands apart.
 */
import { kindsWithStatus } from "#compile/status/kinds-with-status.ts";
import { KINDS } from "#model/kinds.ts";
import { CONFIG_MAP } from "#model/kubernetes-config.ts";
import { crdKinds } from "./crds.ts";
import { AGENT, CONTROL, GATEWAY, own, SYSTEM, WEBHOOK, type Manifest } from "./manifest.ts";
import type { InstallSettings } from "./settings.ts";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

const follow = ["get", "list", "watch"] as const;
const rule = (group: string, resources: readonly string[], verbs: readonly string[], resourceNames?: readonly string[]): Rule => ({
  apiGroups: [group],
  resources,
  ...(resourceNames === undefined ? {} : { resourceNames }),
  verbs,
});

/** One rule a group of the kinds that Weft brings. */
function customRules(verbs: readonly string[], resource: (plural: string) => string, kinds = crdKinds): readonly Rule[] {
  return [...Map.groupBy(kinds, ({ group }) => group)].map(([group, of]) =>
    rule(
      group,
      of.map(({ plural }) => resource(plural)),
      verbs,
    ),
  );
}

const controlRules: readonly Rule[] = [
  // src/control/control.ts compiles the mesh from these. Secrets: certificates of gateways, in any namespace that a Gateway names.
  rule("", ["namespaces", "nodes", "pods", "services", "serviceaccounts", "secrets"], follow),
  rule("discovery.k8s.io", ["endpointslices"], follow),
  ...customRules(follow, (plural) => plural),
  // src/control/mesh-status.ts: what of an object is in force.
  ...customRules(
    ["patch", "update"],
    (plural) => `${plural}/status`,
    kindsWithStatus.map((id) => KINDS[id]),
  ),
  // The leader makes GatewayClasses when they are missing: in manifests they could not stand beside their own definition.
  rule("gateway.networking.k8s.io", ["gatewayclasses"], ["create"]),
  // src/control/endpoints/load-balancers.ts.
  rule("", ["services/status"], ["patch", "update"]),
  // src/control/events.ts.
  rule("", ["events"], ["create", "patch"]),
  // src/control/callers.ts: which node an agent's token is of.
  rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
  // The leader puts the webhook's caBundle there.
  rule("admissionregistration.k8s.io", ["mutatingwebhookconfigurations"], [...follow, "patch", "update"], [WEBHOOK]),
];

const controlSystemRules: readonly Rule[] = [
  // Leader election.
  rule("coordination.k8s.io", ["leases"], ["create"]),
  rule("coordination.k8s.io", ["leases"], ["get", "update", "patch"], [CONTROL]),
  // The root of the mesh, made by the first leader; its certificate for everybody.
  rule("", ["secrets", "configmaps"], ["create"]),
  rule("", ["secrets"], ["get", "update", "patch"], ["weft-ca"]),
  rule("", ["configmaps"], [...follow, "update", "patch"], ["weft-root"]),
];

const agentRules: readonly Rule[] = [
  // src/agent/cluster-state.ts: what a node's plan is compiled from.
  rule("", ["namespaces", "nodes", "pods", "services"], follow),
  rule("discovery.k8s.io", ["endpointslices"], follow),
  rule("networking.k8s.io", ["networkpolicies"], follow),
  // src/agent/report.ts: condition NetworkUnavailable, which a cloud's controllers wait for.
  rule("", ["nodes/status"], ["patch"]),
  // What a pod asks for and does not get is said on the pod.
  rule("", ["events"], ["create", "patch"]),
];

/** What agents trust on 15012. */
const agentSystemRules: readonly Rule[] = [rule("", ["configmaps"], follow, ["weft-root", CONFIG_MAP])];

function account(name: string, namespace: string): Manifest {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: own(name, { namespace }) };
}

function clusterRole(name: string, rules: readonly Rule[], labels: Readonly<Record<string, string>> = {}): Manifest {
  return { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: own(name, { labels }), rules };
}

function systemRole(name: string, rules: readonly Rule[]): Manifest {
  return { apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", metadata: own(name, { namespace: SYSTEM }), rules };
}

function bindings(name: string): readonly Manifest[] {
  const subjects = [{ kind: "ServiceAccount", name, namespace: SYSTEM }];
  const to = (kind: string) => ({ apiGroup: "rbac.authorization.k8s.io", kind, name });
  const of = { apiVersion: "rbac.authorization.k8s.io/v1", subjects };
  return [
    { ...of, kind: "ClusterRoleBinding", metadata: own(name), roleRef: to("ClusterRole") },
    { ...of, kind: "RoleBinding", metadata: own(name, { namespace: SYSTEM }), roleRef: to("Role") },
  ];
}

const aggregated = (role: string) => ({ [`rbac.authorization.k8s.io/aggregate-to-${role}`]: "true" });

export function accessRules({ config, gateway }: InstallSettings): readonly Manifest[] {
  return [
    account(CONTROL, SYSTEM),
    account(AGENT, SYSTEM),
    ...(gateway.install ? [account(GATEWAY, config.rootNamespace)] : []),
    clusterRole(CONTROL, controlRules),
    clusterRole(AGENT, agentRules),
    // People: who may view or edit a namespace's objects may do the same with Weft's kinds. `weft status` and `weft why` read them.
    clusterRole(
      "weft-view",
      customRules([...follow], (plural) => plural),
      { ...aggregated("view") },
    ),
    clusterRole(
      "weft-edit",
      customRules(
        ["create", "update", "patch", "delete", "deletecollection"],
        (plural) => plural,
        crdKinds.filter(({ namespaced }) => namespaced),
      ),
      { ...aggregated("edit"), ...aggregated("admin") },
    ),
    systemRole(CONTROL, controlSystemRules),
    systemRole(AGENT, agentSystemRules),
    ...bindings(CONTROL),
    ...bindings(AGENT),
  ];
}
