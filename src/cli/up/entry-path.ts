/** A path that the gateway answers, for the address that `weft up` prints. */
import type { HTTPRoute } from "#model/gateway-api.ts";
import type { VirtualService } from "#model/istio.ts";
import type { ClusterApi } from "#cli/cluster-api.ts";

/** The first exact path that a route of the gateway names; undefined when there is none. */
export async function findEntryPath(api: ClusterApi): Promise<string | undefined> {
  const [services, routes] = await Promise.all([
    api.list<VirtualService>("/apis/networking.istio.io/v1/virtualservices").catch(() => []),
    api.list<HTTPRoute>("/apis/gateway.networking.k8s.io/v1/httproutes").catch(() => []),
  ]);
  const paths = [
    ...services
      .filter((service) => service.spec?.gateways?.some((gateway) => gateway !== "mesh"))
      .flatMap((service) => (service.spec?.http ?? []).flatMap((route) => (route.match ?? []).map((match) => match.uri?.exact))),
    ...routes.flatMap((route) =>
      (route.spec?.rules ?? []).flatMap((rule) => (rule.matches ?? []).map((match) => (match.path?.type === "Exact" ? match.path.value : undefined))),
    ),
  ];
  return paths.find((path) => path !== undefined);
}
