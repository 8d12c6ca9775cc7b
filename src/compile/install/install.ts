/**
 * What `weft install` puts into a cluster: settings -> manifests, in the order in which they are applied. Pure. The CLI prints
 * or applies them; the Helm chart is generated from the same functions (tools/chart.ts), by settings whose values are marks.
 *
 * Not among them, because programs make it: Secret weft-ca, ConfigMap weft-root, Lease weft-control, GatewayClasses (which
 * could not be applied in one go with their own definition) and the webhook's caBundle: all by the control plane's leader.
 */
import type { KubernetesConfig } from "#model/kubernetes-config.ts";
import { agentLimits } from "./agent-limits.ts";
import { agent } from "./agent.ts";
import { configHash, configMap, configText } from "./config-map.ts";
import { controlPlane } from "./control-plane.ts";
import { crdKinds, customResourceDefinition } from "./crds.ts";
import { dnsService } from "./dns.ts";
import { gateway } from "./gateway.ts";
import { injector } from "./injector.ts";
import { installKinds, type Manifest } from "./manifest.ts";
import { names } from "./names.ts";
import { proxyLimits } from "./proxy-limits.ts";
import { namespaces } from "./namespaces.ts";
import { accessRules } from "./rbac.ts";
import type { InstallSettings } from "./settings.ts";

/** How the configuration is written; the chart has Helm write it. */
export interface ConfigWriting {
  readonly text: (config: KubernetesConfig) => string;
  readonly hash: (text: string) => string;
}

export function installManifests(settings: InstallSettings, writing: ConfigWriting = { text: configText, hash: configHash }): readonly Manifest[] {
  const { config, crds, gateway: chosen, dns, version } = settings;
  const text = writing.text(config);
  const hash = writing.hash(text);
  const all = [
    ...namespaces(settings),
    ...(crds.install ? crdKinds.map((info) => customResourceDefinition(info, version)) : []),
    ...accessRules(settings),
    ...agentLimits,
    ...proxyLimits,
    configMap(settings, text),
    ...controlPlane(settings, hash),
    ...(config.profile === "full" && dns.service ? [dnsService(config.dnsAddress)] : []),
    ...(config.profile === "full" ? [names(settings, hash)] : []),
    ...(chosen.install ? gateway(settings, hash) : []),
    agent(settings, hash),
    injector,
  ];
  return all.toSorted((a, b) => rank(a) - rank(b));
}

function rank({ apiVersion, kind }: Manifest): number {
  return installKinds.findIndex((each) => each.apiVersion === apiVersion && each.kind === kind);
}
