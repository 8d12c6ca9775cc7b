/** Objects that Weft is installed as, and where they are in the API: some are of kinds that nothing else of Weft knows. */
import type { KubeObject } from "#model/object.ts";

export interface Manifest extends KubeObject {
  readonly [field: string]: unknown;
}

export interface InstallKind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

const kind = (apiVersion: string, name: string, plural: string, namespaced = true): InstallKind => ({ apiVersion, kind: name, plural, namespaced });
const RBAC = "rbac.authorization.k8s.io/v1";

/** In the order in which they are applied; they are removed the other way round. */
export const installKinds: readonly InstallKind[] = [
  kind("v1", "Namespace", "namespaces", false),
  kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false),
  kind("v1", "ServiceAccount", "serviceaccounts"),
  kind(RBAC, "ClusterRole", "clusterroles", false),
  kind(RBAC, "ClusterRoleBinding", "clusterrolebindings", false),
  kind(RBAC, "Role", "roles"),
  kind(RBAC, "RoleBinding", "rolebindings"),
  kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false),
  kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false),
  kind("v1", "ConfigMap", "configmaps"),
  kind("v1", "Service", "services"),
  // Before anything that users start: a pod that should have a proxy waits rather than runs without.
  kind("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
  kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
  kind("apps/v1", "Deployment", "deployments"),
  kind("apps/v1", "DaemonSet", "daemonsets"),
];

export function installKindOf({ apiVersion, kind: name }: Pick<KubeObject, "apiVersion" | "kind">): InstallKind {
  const found = installKinds.find((each) => each.apiVersion === apiVersion && each.kind === name);
  if (found === undefined) throw new Error(`${apiVersion} ${name} is not among the kinds that Weft installs`);
  return found;
}

/** "/apis/apps/v1/namespaces/weft-system/deployments". */
export function collectionPath({ apiVersion, plural, namespaced }: InstallKind, namespace?: string): string {
  const root = `${apiVersion.includes("/") ? "/apis" : "/api"}/${apiVersion}`;
  return namespaced && namespace !== undefined ? `${root}/namespaces/${namespace}/${plural}` : `${root}/${plural}`;
}

export function objectPath(object: KubeObject): string {
  return `${collectionPath(installKindOf(object), object.metadata.namespace)}/${object.metadata.name}`;
}

/** "Deployment weft-system/weft-control". */
export function describeObject({ kind: name, metadata }: Pick<KubeObject, "kind" | "metadata">): string {
  return `${name} ${metadata.namespace === undefined ? "" : `${metadata.namespace}/`}${metadata.name}`;
}

/** By this label `weft install` and `weft uninstall` know their own: nobody else has it, and Helm writes its own name over managed-by. */
export const INSTALLATION = { key: "weft.dev/installation", value: "system" } as const;
export const VERSION_ANNOTATION = "weft.dev/version";
/** Hash of the configuration: pods are started anew when it changes. */
export const CONFIG_HASH_ANNOTATION = "weft.dev/config-hash";
/** On ConfigMap weft-config: the kinds that this installation is made of, so that a Weft that knows others finds them. */
export const INVENTORY_ANNOTATION = "weft.dev/inventory";

export const SYSTEM = "weft-system";
export const CONTROL = "weft-control";
export const AGENT = "weft-agent";
export const GATEWAY = "istio-ingressgateway";
/** A ClusterRole, and a Role of SYSTEM: what people need who only ask. */
export const READER = "weft-reader";
export const WEBHOOK = "weft-injector";

const OWN_LABELS = { "app.kubernetes.io/managed-by": "weft", "app.kubernetes.io/part-of": "weft", [INSTALLATION.key]: INSTALLATION.value } as const;

export function own(
  name: string,
  more: { readonly namespace?: string; readonly labels?: Readonly<Record<string, string>>; readonly annotations?: Readonly<Record<string, string>> } = {},
) {
  const { namespace, labels = {}, annotations } = more;
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    labels: { ...labels, ...OWN_LABELS },
    ...(annotations === undefined ? {} : { annotations }),
  };
}
