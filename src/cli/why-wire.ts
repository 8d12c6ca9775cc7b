/** The way between nodes: the route that a node's plan has for an address, and the tunnel's neighbour. */
import { contains, parseCidr, parseIp } from "#lib/ip.ts";
import type { NodePlan, PlannedRoute } from "#model/plan/node-plan.ts";
import { hop, type Hop } from "#decide/why/answer.ts";

export function wireHop(plan: NodePlan, address: string): Hop {
  const local = plan.pods.find(({ ip }) => ip === address);
  if (local !== undefined) return hop("wire", `within ${plan.node}: ${address} by ${local.hostLink}, MTU ${local.mtu}`, "modelled");
  const route = longest(plan.routes, address);
  if (route === undefined) return hop("wire", `${plan.node} has no route of ours to ${address}`, "unknown", { verdict: "unknown" });
  const { vxlan } = plan;
  if (vxlan === undefined || route.link !== vxlan.name || route.gateway === undefined)
    return hop("wire", `${plan.node}: ${route.destination} by ${route.link}`, "modelled", { by: route.by });
  const neighbour = plan.neighbours.find(({ ip, link }) => ip === route.gateway && link === route.link);
  const tunnel = plan.neighbours.find(({ mac, tunnel: to }) => mac === neighbour?.mac && to !== undefined);
  if (tunnel?.tunnel === undefined)
    return hop("wire", `${route.source ?? plan.node} -> vxlan vni ${vxlan.vni}: no neighbour for ${route.gateway}`, "modelled", {
      by: route.by,
      verdict: "denied",
    });
  const text = `${route.source ?? plan.node} -> vxlan vni ${vxlan.vni} -> ${route.by?.name ?? tunnel.tunnel}   MTU ${vxlan.mtu}, neighbour known`;
  return hop("wire", text, "modelled", { by: route.by });
}

function longest(routes: readonly PlannedRoute[], address: string): PlannedRoute | undefined {
  const ip = parseIp(address);
  if (ip === undefined) return undefined;
  const fitting = routes.flatMap((route) => {
    const range = parseCidr(route.destination);
    return range !== undefined && contains(range, ip) ? [{ route, prefix: range.prefix }] : [];
  });
  return fitting.sort((a, b) => b.prefix - a.prefix)[0]?.route;
}
