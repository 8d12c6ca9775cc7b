/** Keeps the Services that are the addresses of Gateways, see compile/mesh/gateway-address.ts. */
import { isConflict } from "#client/api-error.ts";
import { isGatewayAddress, wantedAddresses } from "#compile/mesh/gateway-address.ts";
import { ingressGateway } from "#compile/mesh/settings.ts";
import type { Controller, ControllerContext } from "#control/control-api.ts";
import { structurallyEqual } from "#lib/equal.ts";
import type { Service } from "#model/core.ts";
import { objectKey } from "#model/object.ts";

const ALL = "gateway addresses";

export const gatewayAddresses: Controller = {
  name: "gateway addresses",
  // One piece of work: two listeners must not get one port of the pod.
  watches: { Gateway: () => [ALL], Service: (service) => (concerns(service) ? [ALL] : []) },
  initially: [ALL],
  async reconcile(context) {
    const { world, writer } = context;
    const wanted = wantedAddresses(world);
    for (const service of wanted) await keep(context, service);
    const keys = new Set(wanted.map(objectKey));
    const left = world.inNamespace("Service", ingressGateway.namespace).filter((service) => isGatewayAddress(service) && !keys.has(objectKey(service)));
    for (const service of left) await writer.remove("Service", service);
  },
};

function concerns(service: Service): boolean {
  const { namespace, name } = service.metadata;
  return isGatewayAddress(service) || (namespace === ingressGateway.namespace && name === ingressGateway.service);
}

async function keep({ world, writer, log }: ControllerContext, wanted: Service): Promise<void> {
  const there = world.get("Service", objectKey(wanted));
  if (there === undefined) {
    try {
      await writer.create("Service", wanted);
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  } else if (!isGatewayAddress(there)) {
    log.warn("a Service has the name that a Gateway's address needs; rename it, or the Gateway gets none", { object: `Service ${objectKey(there)}` });
  } else if (!structurallyEqual(whatCounts(there), whatCounts(wanted))) {
    const { type, selector, ports, loadBalancerIP = null } = wanted.spec;
    await writer.patch("Service", there, { spec: { type, selector, ports, loadBalancerIP } });
  }
}

/** The rest is the API server's. */
function whatCounts({ spec }: Service): object {
  const ports = (spec.ports ?? []).map(({ name, port, targetPort }) => ({ name, port, targetPort }));
  return { type: spec.type, selector: spec.selector, ports, address: spec.loadBalancerIP ?? "" };
}
