/** The Secrets that Gateways name: the only ones that the mesh ever reads. */
import { proxyKindOf } from "#compile/inject/proxy-kind.ts";
import type { Pod } from "#model/core.ts";
import type { WorldReader } from "#model/world.ts";
import { listenerCertificate } from "./gateway-certificate.ts";
import { isHttps, istioSecret } from "./gateway.ts";
import { isOurs, isServed } from "./gateway-address.ts";
import { rootNamespace } from "./settings.ts";

/** Where the Secrets of Istio's Gateways are: beside the gateways' pods. */
export function gatewayNamespaces(pods: readonly Pod[]): readonly string[] {
  const namespaces = pods.filter((pod) => proxyKindOf(pod) === "gateway").map(({ metadata }) => metadata.namespace ?? "");
  return [...new Set([rootNamespace, ...namespaces])].sort();
}

/** "namespace/name" each; of another namespace only with its ReferenceGrant. */
export function gatewaySecrets(world: WorldReader): ReadonlySet<string> {
  const ofGateways = world
    .all("Gateway")
    .filter(isOurs)
    .flatMap((gateway) =>
      gateway.spec.listeners.flatMap((listener) => {
        const ref = listener.protocol === "HTTPS" && isServed(listener) ? listenerCertificate(gateway, listener, world) : undefined;
        return ref !== undefined && "secret" in ref ? [ref.secret] : [];
      }),
    );
  const servers = world.all("IstioGateway").flatMap(({ spec }) => (spec.servers ?? []).filter(({ port }) => isHttps(port.protocol)));
  const namespaces = servers.length === 0 ? [] : gatewayNamespaces(world.all("Pod"));
  const ofIstio = servers.flatMap((server) => namespaces.flatMap((namespace) => istioSecret(server, namespace) ?? []));
  return new Set([...ofGateways, ...ofIstio].sort());
}
