/** Every namespace has the ConfigMap by which its pods verify the API server. */
import type { Controller } from "./control-api.ts";

const NAME = "kube-root-ca.crt";

export function rootCertificates(clusterCa: string): Controller {
  return {
    name: "root certificates",
    watches: {
      Namespace: (namespace) => [namespace.metadata.name],
      ConfigMap: (map) => (map.metadata.name === NAME ? [map.metadata.namespace ?? ""] : []),
    },
    async reconcile({ world, writer }, name) {
      const namespace = world.get("Namespace", name);
      if (namespace === undefined || namespace.metadata.deletionTimestamp !== undefined || namespace.status?.phase === "Terminating") return;
      const existing = world.get("ConfigMap", `${name}/${NAME}`);
      const data = { "ca.crt": clusterCa };
      if (existing === undefined) await writer.create("ConfigMap", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: NAME, namespace: name }, data });
      else if (existing.data?.["ca.crt"] !== clusterCa) await writer.patch("ConfigMap", existing, { data });
    },
  };
}
