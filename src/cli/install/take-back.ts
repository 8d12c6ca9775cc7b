/** What Weft said of objects that are not its own, taken back by who uninstalls: when this begins, nobody says it again. */
import { kindsWithStatus } from "#compile/status/kinds-with-status.ts";
import { withdrawnStatus } from "#compile/status/withdrawn.ts";
import { contains, parseCidr, parseIp } from "#lib/ip.ts";
import type { Node, Service } from "#model/core.ts";
import { KINDS } from "#model/kinds.ts";
import type { KubernetesConfig } from "#model/kubernetes-config.ts";
import type { KubeObject } from "#model/object.ts";
import { messageOf, type ClusterApi } from "#cli/cluster-api.ts";
import { CliError } from "#cli/context.ts";

const PATCH_TYPES = { merge: "application/merge-patch+json", strategic: "application/strategic-merge-patch+json" } as const;

/** What is gone meanwhile has nothing to take back. */
export async function patch(api: ClusterApi, path: string, body: unknown, type: keyof typeof PATCH_TYPES = "merge"): Promise<void> {
  const answer = await api.request("PATCH", path, { body, contentType: PATCH_TYPES[type] });
  if (answer.status >= 300 && answer.status !== 404) throw new CliError(`PATCH ${path} is refused: ${messageOf(answer)}`, 1);
}

/** Addresses that Weft gave lead nowhere now. Resolves with how many Services had one. */
export async function takeBackAddresses(api: ClusterApi, { loadBalancerCIDR = "" }: KubernetesConfig): Promise<number> {
  const range = parseCidr(loadBalancerCIDR);
  if (range === undefined) return 0;
  const services = (await api.list<Service>("/api/v1/services")).filter(({ status }) =>
    status?.loadBalancer?.ingress?.some(({ ip = "" }) => {
      const address = parseIp(ip);
      return address !== undefined && contains(range, address);
    }),
  );
  for (const { metadata } of services) {
    await patch(api, `/api/v1/namespaces/${metadata.namespace ?? ""}/services/${metadata.name}/status`, { status: { loadBalancer: { ingress: null } } });
  }
  return services.length;
}

/** Conditions and the rest of our statuses, on users' routes, policies and gateways. Resolves with how many objects had them. */
export async function takeBackStatuses(api: ClusterApi): Promise<number> {
  let count = 0;
  for (const kind of kindsWithStatus) {
    const { group, versions, plural } = KINDS[kind];
    const root = `/apis/${group}/${versions[0] ?? "v1"}`;
    // A definition that is gone took its objects along.
    const there = await api.find<{ readonly items?: readonly KubeObject[] }>(`${root}/${plural}`);
    for (const object of there?.items ?? []) {
      const status = withdrawnStatus(kind, object);
      if (status === undefined) continue;
      const { namespace, name } = object.metadata;
      await patch(api, `${root}/${namespace === undefined ? "" : `namespaces/${namespace}/`}${plural}/${name}/status`, { status });
      count += 1;
    }
  }
  return count;
}

/** The agent's word that a node's network is up (src/agent/report.ts); that of another, a cloud's perhaps, stays. */
export async function takeBackNodeConditions(api: ClusterApi): Promise<number> {
  const nodes = (await api.list<Node>("/api/v1/nodes")).filter(({ status }) =>
    status?.conditions?.some(({ type, reason }) => type === "NetworkUnavailable" && reason === "WeftIsUp"),
  );
  for (const { metadata } of nodes) {
    const conditions = [{ type: "NetworkUnavailable", $patch: "delete" }];
    await patch(api, `/api/v1/nodes/${metadata.name}/status`, { status: { conditions } }, "strategic");
  }
  return nodes.length;
}
