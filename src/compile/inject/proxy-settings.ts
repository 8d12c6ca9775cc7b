/** Istio's annotations that change the injected container, read with Istio's meaning; others of its names are reported. */
import type { Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";
import { invalid, type Problem } from "#model/problem.ts";
import { parseQuantity } from "#model/quantity.ts";

export interface ProxySettings {
  readonly resources: NonNullable<Container["resources"]>;
  readonly rewriteProbes: boolean;
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

const PREFIX = "sidecar.istio.io/";
/** Istio's. An idle proxy has 60 to 90 MB. */
const DEFAULTS = { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2", memory: "1Gi" } };
/** Read elsewhere: whether to inject, and what to take over (compile/interception). */
const READ_ELSEWHERE: readonly string[] = ["inject", "status", "interceptionMode"];
const QUANTITIES: Readonly<Record<string, readonly ["requests" | "limits", "cpu" | "memory"]>> = {
  proxyCPU: ["requests", "cpu"],
  proxyMemory: ["requests", "memory"],
  proxyCPULimit: ["limits", "cpu"],
  proxyMemoryLimit: ["limits", "memory"],
};

export function proxySettings({ metadata }: Pod): ProxySettings {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const resources = { requests: {}, limits: {} } as Record<"requests" | "limits", Record<string, string>>;
  let rewriteProbes = true;
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    if (key === "proxy.istio.io/config") warnings.push(`annotation ${key} is not supported yet; it is ignored`);
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length);
    const quantity = QUANTITIES[name];
    if (quantity !== undefined) {
      const [kind, resource] = quantity;
      const number = parseQuantity(value);
      if (number === undefined || number <= 0)
        problems.push(invalid(`metadata.annotations[${key}]`, value, 'must be a quantity above 0 such as "100m" or "128Mi"'));
      else resources[kind][resource] = value;
    } else if (name === "rewriteAppHTTPProbers") rewriteProbes = value !== "false";
    else if (name === "nativeSidecar" && value !== "false") continue;
    else if (!READ_ELSEWHERE.includes(name)) warnings.push(`annotation ${key} is not supported yet; it is ignored`);
  }
  return { resources: resourcesOf(resources), rewriteProbes, problems, warnings };
}

/** As in Istio: who says anything about resources says all of it. A request above its limit would be refused. */
function resourcesOf({ requests, limits }: Record<"requests" | "limits", Record<string, string>>): NonNullable<Container["resources"]> {
  if (Object.keys(requests).length === 0 && Object.keys(limits).length === 0) return DEFAULTS;
  return { ...(Object.keys(requests).length > 0 && { requests }), ...(Object.keys(limits).length > 0 && { limits }) };
}
