/** Gives Services of type LoadBalancer an address of the configured range; the agents answer for it. */
import { cidr, cidrSize, formatIp, nthAddress } from "#lib/ip.ts";
import type { Service } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import type { Controller } from "#control/control-api.ts";

const ALL = "load balancer addresses";

export function loadBalancers(cidr: string): Controller {
  const range = addressesOf(cidr);
  return {
    name: "load balancers",
    // One piece of work: two Services must not get one address.
    watches: { Service: () => [ALL] },
    async reconcile({ world, writer, events }) {
      const services = world.all("Service");
      const taken = new Set(services.filter(wantsAddress).flatMap((service) => addressOf(service) ?? []));
      for (const service of services) {
        const has = addressOf(service);
        if (!wantsAddress(service)) {
          if (has !== undefined) await writer.patchStatus("Service", service, { loadBalancer: { ingress: null } });
          continue;
        }
        const asked = service.spec.loadBalancerIP ?? "";
        if (has !== undefined && (asked === "" || asked === has)) continue;
        const address = asked === "" ? range.find((each) => !taken.has(each)) : range.includes(asked) && !taken.has(asked) ? asked : undefined;
        if (address === undefined) {
          const message =
            asked === "" ? `all ${range.length} addresses of ${cidr} are in use` : `spec.loadBalancerIP: ${asked} is not a free address of ${cidr}`;
          events.record(service, { type: "Warning", reason: "AllocationFailed", message });
          continue;
        }
        taken.add(address);
        await writer.patchStatus("Service", service, { loadBalancer: { ingress: [{ ip: address, ipMode: "VIP" }] } });
        events.record(service, { type: "Normal", reason: "IPAllocated", message: `Assigned ${address} to Service ${objectKey(service)}` });
      }
    },
  };
}

function wantsAddress(service: Service): boolean {
  return service.spec.type === "LoadBalancer" && service.metadata.deletionTimestamp === undefined && (service.spec.loadBalancerClass ?? "") === "";
}

function addressOf(service: Service): string | undefined {
  return service.status?.loadBalancer?.ingress?.[0]?.ip;
}

/** At most 256 of them; not the last one, which may be the link's broadcast address. */
function addressesOf(range: string): readonly string[] {
  const parsed = cidr(range);
  const count = Math.min(256, Number(cidrSize(parsed)) - 1);
  return Array.from({ length: Math.max(0, count) }, (_, index) => nthAddress(parsed, index)).flatMap((ip) => (ip === undefined ? [] : [formatIp(ip)]));
}
