/**
 * From the World to what each proxy must know, as Envoy v3 messages.
 *
 * A proxy is a Pod with a container `istio-proxy`: a sidecar, or a gateway. Its plan holds listeners, route configurations,
 * clusters and endpoints; everything in them names the object and field it came from (filter metadata `weft.dev`, names of
 * RBAC policies). Identities are not in the plan: their keys never leave the node. A gateway's has the certificates that it
 * shows to the outside.
 *
 * `MeshCompiler` follows a World that changes and derives anew only what a change concerns; `compileProxy` answers once. Both
 * run the same derivations, and give the same bytes for the same World, whatever happened before.
 */
import type { ProxyPlan } from "#model/plan/proxy-plan.ts";
import type { World } from "#model/world.ts";
import { MeshCompiler } from "./mesh-compiler.ts";

export { MeshCompiler };

/** undefined: there is no such Pod, or it has no proxy. */
export function compileProxy(world: World, podKey: string): ProxyPlan | undefined {
  return new MeshCompiler(world).plan(podKey);
}
