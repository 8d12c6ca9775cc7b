/** Settings whose values are marks: what is rendered with them shows where a template has to put a value. */
import { SETTINGS, type InstallSettings } from "#compile/install/settings.ts";
import { KUBERNETES_DEFAULTS, type KubernetesConfig } from "#model/kubernetes-config.ts";
import { VERSION } from "#cli/version.ts";

const MARK = "MARK_";
export const CONFIG_TEXT = `${MARK}configText`;
export const CONFIG_HASH = `${MARK}configHash`;

export type Profile = KubernetesConfig["profile"];

/** Everything on, unless `off` says otherwise. The types are those of values; a mark is a text in their place. */
export function markedSettings(profile: Profile, off: readonly string[] = []): InstallSettings {
  const mark = (key: string) => `${MARK}${key}`;
  const count = (key: string) => mark(key) as unknown as number;
  const flag = (key: string) => !off.includes(key);
  const config = Object.fromEntries(SETTINGS.filter(({ key }) => !key.includes(".")).map(({ key }) => [key, mark(key)]));
  return {
    version: VERSION,
    config: { ...KUBERNETES_DEFAULTS, ...(config as unknown as KubernetesConfig), image: mark("image"), profile },
    imagePullPolicy: mark("imagePullPolicy"),
    control: { replicas: count("control.replicas") },
    gateway: {
      install: flag("gateway.install"),
      replicas: count("gateway.replicas"),
      serviceType: mark("gateway.serviceType"),
      allSecrets: flag("gateway.allSecrets"),
    },
    crds: { install: flag("crds.install") },
    dns: { service: flag("dns.service") },
  };
}

/** YAML in which marks have become actions of a template. Throws when it has a mark that nobody knows. */
export function withActions(yaml: string): string {
  return yaml.replaceAll(/MARK_([A-Za-z.]+)/g, (_, key: string) => `{{ ${actionOf(key)} }}`);
}

function actionOf(key: string): string {
  if (key === "configText") return `include "weft.config" . | quote`;
  if (key === "configHash") return `include "weft.config" . | sha256sum | quote`;
  if (key === "image") return ".Values.image | quote";
  const setting = SETTINGS.find((each) => each.key === key);
  if (setting === undefined) throw new Error(`no value of the chart is called ${JSON.stringify(key)}`);
  return setting.type === "count" ? `int .Values.${key}` : `.Values.${key} | quote`;
}
