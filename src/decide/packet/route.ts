/** Where a node sends a packet, by its plan: the longest prefix wins, then neighbour and forwarding entry. */
import { cidr, contains, ip } from "#lib/ip.ts";
import type { NodePlan, PlannedRoute } from "#model/plan/node-plan.ts";
import type { Provenance } from "#model/provenance.ts";

export type NextHop =
  | { readonly kind: "pod"; readonly uid: string; readonly link: string }
  | { readonly kind: "tunnel"; readonly link: string; readonly gateway: string; readonly underlay: string | undefined; readonly by: Provenance | undefined }
  /** An address of the node itself. */
  | { readonly kind: "self" }
  /** No route of the plan: by the underlay, as the node would without Weft. */
  | { readonly kind: "underlay" };

const LOOPBACK = cidr("127.0.0.0/8");

export function nextHop(plan: NodePlan, destination: string): NextHop {
  const address = ip(destination);
  if (plan.addresses.some((each) => each.cidr === `${destination}/32`) || plan.vxlan?.local === destination || contains(LOOPBACK, address))
    return { kind: "self" };
  let best: PlannedRoute | undefined;
  for (const route of plan.routes) {
    const range = cidr(route.destination);
    if (contains(range, address) && (best === undefined || range.prefix > cidr(best.destination).prefix)) best = route;
  }
  if (best === undefined) return { kind: "underlay" };
  const pod = plan.pods.find(({ hostLink }) => hostLink === best.link);
  if (pod !== undefined) return { kind: "pod", uid: pod.uid, link: pod.hostLink };
  const gateway = best.gateway ?? destination;
  const neighbour = plan.neighbours.find((each) => each.link === best.link && each.ip === gateway);
  const forwarding = plan.neighbours.find((each) => each.link === best.link && each.mac === neighbour?.mac && each.tunnel !== undefined);
  return { kind: "tunnel", link: best.link, gateway, underlay: forwarding?.tunnel, by: best.by };
}
