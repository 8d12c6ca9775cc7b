/** Facts of the mesh that no resource states. */

export const rootNamespace = "istio-system";
export const trustDomain = "cluster.local";
export const clusterDomain = "cluster.local";
/** Gateway API Gateways of these classes are served by the ingress gateway's pods. */
export const gatewayClasses: ReadonlySet<string> = new Set(["weft", "istio"]);
export const ingressGateway = { namespace: rootNamespace, service: "istio-ingressgateway", labels: { istio: "ingressgateway" } } as const;
export const gatewayController = "weft.dev/gateway-controller";

export function spiffeId(namespace: string, serviceAccount: string): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}
