/** What users keep in a namespace that Weft made: such a namespace must not go with Weft. */
import { crdKinds } from "#compile/install/crds.ts";
import { storedApiVersion } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";
import { isOurs } from "./apply.ts";

const BUILT_IN: readonly (readonly [kind: string, path: string])[] = [
  ["Pod", "/api/v1"],
  ["Service", "/api/v1"],
  ["ConfigMap", "/api/v1"],
  ["Secret", "/api/v1"],
  ["PersistentVolumeClaim", "/api/v1"],
  ["Deployment", "/apis/apps/v1"],
  ["StatefulSet", "/apis/apps/v1"],
  ["DaemonSet", "/apis/apps/v1"],
  ["Job", "/apis/batch/v1"],
];

const plural = (kind: string): string => `${kind.toLowerCase()}s`;

/** "Secret bookinfo-credential". */
export async function foreignObjects(api: ClusterApi, namespace: string): Promise<readonly string[]> {
  const custom = crdKinds.filter(({ namespaced }) => namespaced).map((info) => [info.kind, `/apis/${storedApiVersion(info)}`, info.plural] as const);
  const kinds = [...BUILT_IN.map(([kind, path]) => [kind, path, plural(kind)] as const), ...custom];
  const lists = await Promise.all(
    kinds.map(async ([kind, path, collection]) => {
      const list = await api.find<{ readonly items?: readonly KubeObject[] }>(`${path}/namespaces/${namespace}/${collection}`);
      return (list?.items ?? []).filter((object) => !isOurs(object) && !isPartOfTheNamespace(kind, object)).map(({ metadata }) => `${kind} ${metadata.name}`);
    }),
  );
  return lists.flat();
}

/** What Kubernetes puts into every namespace, and what belongs to another object. */
function isPartOfTheNamespace(kind: string, { metadata }: KubeObject): boolean {
  return (kind === "ConfigMap" && /^(kube-root-ca\.crt|istio-ca-root-cert)$/.test(metadata.name)) || (metadata.ownerReferences ?? []).length > 0;
}
