/**
 * What of an object's status is Weft's, taken back when Weft goes: nobody would keep it true. What other controllers say of
 * the same object stays.
 */
import { isOurs } from "#compile/mesh/gateway-address.ts";
import { gatewayController } from "#compile/mesh/settings.ts";
import type { Gateway, GatewayClass } from "#model/gateway-api.ts";
import type { KubeObject } from "#model/object.ts";
import { gatewayClassStatus } from "./gateway-status.ts";
import { istioStatus } from "./istio-status.ts";
import type { kindsWithStatus } from "./kinds-with-status.ts";

interface SaidStatus {
  readonly conditions?: readonly { readonly type: string }[];
  readonly parents?: readonly { readonly controllerName?: string }[];
}

/** A merge patch (RFC 7386) of the status; undefined: nothing in it is ours. */
export function withdrawnStatus(kind: (typeof kindsWithStatus)[number], object: KubeObject): object | undefined {
  const status = (object as { readonly status?: SaidStatus }).status ?? {};
  switch (kind) {
    case "HTTPRoute": {
      const others = (status.parents ?? []).filter(({ controllerName }) => controllerName !== gatewayController);
      return others.length === (status.parents ?? []).length ? undefined : { parents: others };
    }
    case "Gateway":
      return isOurs(object as Gateway) && status.conditions !== undefined ? { addresses: null, conditions: null, listeners: null } : undefined;
    case "GatewayClass":
      return gatewayClassStatus(object as GatewayClass) === undefined
        ? undefined
        : withoutConditions(status, new Set(["Accepted"]), { supportedFeatures: null });
    default: {
      const ours = istioStatus(object, []).conditions.map(({ type }) => type);
      return withoutConditions(status, new Set(ours), { observedGeneration: null });
    }
  }
}

/** `rest`: what goes with the last condition. */
function withoutConditions({ conditions = [] }: SaidStatus, ours: ReadonlySet<string>, rest: object): object | undefined {
  const others = conditions.filter(({ type }) => !ours.has(type));
  if (others.length === conditions.length) return undefined;
  return others.length === 0 ? { conditions: null, ...rest } : { conditions: others };
}
