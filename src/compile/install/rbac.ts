/**
 * Who may do what, as little as it can be: every rule stands beside the code that needs it. What one object suffices for is
 * granted by its name; "create" cannot be (the API server does not know the name yet), so it stands apart.
 */
import { kindsWithStatus } from "#compile/status/kinds-with-status.ts";
import { KINDS } from "#model/kinds.ts";
import { CONFIG_MAP, type KubernetesConfig } from "#model/kubernetes-config.ts";
import { crdKinds } from "./crds.ts";
import { AGENT, CONTROL, GATEWAY, own, READER, SYSTEM, WEBHOOK, type Manifest } from "./manifest.ts";
import type { InstallSettings } from "./settings.ts";

const RBAC = "rbac.authorization.k8s.io/v1";
const GATEWAY_SECRETS = "weft-gateway-secrets";

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
  // src/control/kubernetes/mesh-kinds.ts: what the mesh is compiled from.
  rule("", ["namespaces", "pods", "services"], follow),
  rule("discovery.k8s.io", ["endpointslices"], follow),
  ...customRules(follow, (plural) => plural),
  // src/control/mesh-status.ts: what of an object is in force.
  ...customRules(
    ["patch"],
    (plural) => `${plural}/status`,
    kindsWithStatus.map((id) => KINDS[id]),
  ),
  // src/control/kubernetes/gateway-classes.ts.
  rule("gateway.networking.k8s.io", ["gatewayclasses"], ["create"]),
  // src/control/endpoints/load-balancers.ts.
  rule("", ["services/status"], ["patch"]),
  // src/control/events.ts.
  rule("", ["events"], ["create", "patch"]),
  // src/control/kubernetes/node-tokens.ts: which node an agent's token is of.
  rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
  // src/control/kubernetes/ca-bundle.ts.
  rule("admissionregistration.k8s.io", ["mutatingwebhookconfigurations"], ["list", "watch", "patch"], [WEBHOOK]),
];

const controlSystemRules: readonly Rule[] = [
  // src/control/kubernetes/lease-election.ts.
  rule("coordination.k8s.io", ["leases"], ["create"]),
  rule("coordination.k8s.io", ["leases"], ["get", "update"], [CONTROL]),
  // src/control/kubernetes/mesh-root.ts: made by the first leader, its certificate for everybody.
  rule("", ["secrets", "configmaps"], ["create"]),
  rule("", ["secrets"], follow, ["weft-ca"]),
  rule("", ["configmaps"], [...follow, "patch"], ["weft-root"]),
];

/** src/control/kubernetes/gateway-addresses.ts: in the namespace of the gateways' pods alone. */
const controlRootRules: readonly Rule[] = [rule("", ["services"], ["create", "patch", "delete"])];

/** src/control/kubernetes/named-secrets.ts: certificates of gateways. */
const secretRules: readonly Rule[] = [rule("", ["secrets"], follow)];

/** src/agent/node-agent.ts and policies-known.ts: what a node's plan is compiled from. */
const agentRules: { readonly [P in KubernetesConfig["profile"]]: readonly Rule[] } = {
  full: [
    rule("", ["namespaces", "nodes", "pods", "services"], follow),
    rule("discovery.k8s.io", ["endpointslices"], follow),
    rule("networking.k8s.io", ["networkpolicies"], follow),
    // src/agent/report.ts: the node's network is up; what a node cannot do. Of which node is held by agent-limits.ts.
    rule("", ["nodes/status"], ["patch"]),
    rule("", ["events"], ["create"]),
  ],
  mesh: [rule("", ["pods"], follow), rule("", ["nodes/status"], ["patch"]), rule("", ["events"], ["create"])],
};

const agentSystemRules: readonly Rule[] = [
  // src/agent/kubernetes/control-plane.ts: where the control plane is, and what agents trust there.
  rule("", ["configmaps"], follow, ["weft-root"]),
  rule("", ["services"], follow),
  rule("discovery.k8s.io", ["endpointslices"], follow),
];

/**
 * People who ask: `weft status` and `weft why` read these (src/cli). Bound by whoever administers the cluster: nodes are nobody's
 * namespace, so Kubernetes' own "view" has not got them.
 */
const readerRules: readonly Rule[] = [
  rule("", ["namespaces", "nodes", "pods", "services"], follow),
  rule("discovery.k8s.io", ["endpointslices"], follow),
  rule("networking.k8s.io", ["networkpolicies"], follow),
  ...customRules(follow, (plural) => plural),
];

/** Beside them `weft flows` asks agents, through the API server. */
const readerSystemRules: readonly Rule[] = [
  rule("", ["configmaps"], ["get"], [CONFIG_MAP]),
  rule("apps", ["deployments"], ["get"], [CONTROL]),
  rule("coordination.k8s.io", ["leases"], ["get"], [CONTROL]),
  rule("", ["pods"], ["list"]),
  rule("", ["pods/proxy"], ["get"]),
];

function account(name: string, namespace: string): Manifest {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: own(name, { namespace }) };
}

function clusterRole(name: string, rules: readonly Rule[], labels: Readonly<Record<string, string>> = {}): Manifest {
  return { apiVersion: RBAC, kind: "ClusterRole", metadata: own(name, { labels }), rules };
}

function role(name: string, namespace: string, rules: readonly Rule[]): Manifest {
  return { apiVersion: RBAC, kind: "Role", metadata: own(name, { namespace }), rules };
}

/** To its ClusterRole, and to the Roles of its name in these namespaces. */
function bindings(name: string, namespaces: readonly string[]): readonly Manifest[] {
  const subjects = [{ kind: "ServiceAccount", name, namespace: SYSTEM }];
  const to = (kind: string) => ({ apiGroup: "rbac.authorization.k8s.io", kind, name });
  const of = { apiVersion: RBAC, subjects };
  return [
    { ...of, kind: "ClusterRoleBinding", metadata: own(name), roleRef: to("ClusterRole") },
    ...namespaces.map((namespace) => ({ ...of, kind: "RoleBinding", metadata: own(name, { namespace }), roleRef: to("Role") })),
  ];
}

function bindSecrets(namespace?: string): Manifest {
  return {
    apiVersion: RBAC,
    kind: namespace === undefined ? "ClusterRoleBinding" : "RoleBinding",
    metadata: own(GATEWAY_SECRETS, namespace === undefined ? {} : { namespace }),
    subjects: [{ kind: "ServiceAccount", name: CONTROL, namespace: SYSTEM }],
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: GATEWAY_SECRETS },
  };
}

const aggregated = (role: string) => ({ [`rbac.authorization.k8s.io/aggregate-to-${role}`]: "true" });

export function accessRules({ config, gateway }: InstallSettings): readonly Manifest[] {
  return [
    account(CONTROL, SYSTEM),
    account(AGENT, SYSTEM),
    ...(gateway.install ? [account(GATEWAY, config.rootNamespace)] : []),
    clusterRole(CONTROL, controlRules),
    clusterRole(AGENT, agentRules[config.profile]),
    // People: who may view or edit a namespace's objects may do the same with Weft's kinds.
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
    clusterRole(READER, readerRules),
    role(READER, SYSTEM, readerSystemRules),
    // Bound in the gateway's own namespace, and elsewhere by who wants it: a control plane that reads every Secret is worth stealing.
    clusterRole(GATEWAY_SECRETS, secretRules),
    gateway.allSecrets ? bindSecrets() : bindSecrets(config.rootNamespace),
    role(CONTROL, SYSTEM, controlSystemRules),
    role(CONTROL, config.rootNamespace, controlRootRules),
    role(AGENT, SYSTEM, agentSystemRules),
    ...bindings(CONTROL, [SYSTEM, config.rootNamespace]),
    ...bindings(AGENT, [SYSTEM]),
  ];
}
