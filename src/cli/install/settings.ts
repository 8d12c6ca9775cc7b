/** From flags, `--set` and what is known of the cluster to settings; what is missing is said with how to give it. */
import { isRecord } from "#model/decode.ts";
import { decodeKubernetesConfig, KUBERNETES_DEFAULTS, optionalConfigFields } from "#model/kubernetes-config.ts";
import { SETTINGS, type InstallSettings, type Setting } from "#compile/install/settings.ts";
import { CliError } from "#cli/context.ts";
import { nearNames } from "#cli/why/near-names.ts";
import { VERSION } from "#cli/version.ts";
import type { ClusterFacts } from "./discover.ts";

export interface InstallFlags {
  readonly profile: string;
  readonly image: string;
  /** "key=value". */
  readonly set: readonly string[];
}

type Values = Readonly<Record<string, string | number | boolean | undefined>>;

/** `why`: why the cluster was not asked, when it was not. */
export function settingsFrom({ profile, image, set }: InstallFlags, facts: ClusterFacts | undefined, why: string | undefined): InstallSettings {
  const given = parseSet(set);
  for (const { key, profile: only } of SETTINGS)
    if (given[key] !== undefined && only === "full" && profile === "mesh")
      throw new CliError(`--set ${key}: it is of profile ${only}; in profile ${profile} nothing asks for it, leave it out`);
  const values: Values = { ...defaults(), ...found(facts), ...given };
  const missing = SETTINGS.filter(({ key }) => values[key] === undefined);
  if (missing.length > 0) throw new CliError(missingText(missing, facts, why));
  const fields = Object.entries(values).filter(([key, value]) => isConfigField(key) && !(value === "" && optionalConfigFields.has(key)));
  const { config, problems } = decodeKubernetesConfig({
    ...KUBERNETES_DEFAULTS,
    ...Object.fromEntries(fields),
    profile,
    image,
  });
  if (config === undefined) throw new CliError(problems.map(flagOf).join("\n      "));
  return {
    version: VERSION,
    config,
    imagePullPolicy: String(values["imagePullPolicy"]),
    control: { replicas: Number(values["control.replicas"]) },
    gateway: {
      install: values["gateway.install"] === true,
      replicas: Number(values["gateway.replicas"]),
      serviceType: String(values["gateway.serviceType"]),
      allSecrets: values["gateway.allSecrets"] === true,
    },
    crds: { install: values["crds.install"] === true },
    dns: { service: values["dns.service"] === true },
  };
}

function isConfigField(key: string): boolean {
  return !key.includes(".") && key !== "imagePullPolicy";
}

function defaults(): Values {
  return Object.fromEntries(SETTINGS.map((setting) => [setting.key, setting.default]));
}

function found(facts: ClusterFacts | undefined): Values {
  if (facts === undefined) return {};
  const { apiServer, serviceCIDR, podCIDR, dnsAddress, hasForeignDns } = facts;
  return { apiServer, serviceCIDR, podCIDR, dnsAddress, ...(hasForeignDns ? { "dns.service": false } : {}) };
}

function parseSet(written: readonly string[]): Values {
  return Object.fromEntries(
    written.map((text) => {
      const at = text.indexOf("=");
      const key = at < 0 ? text : text.slice(0, at);
      const setting = SETTINGS.find((each) => each.key === key);
      if (setting === undefined) {
        const near = nearNames(
          key,
          SETTINGS.map((each) => each.key),
        );
        throw new CliError(
          `--set ${text}: there is no ${JSON.stringify(key)}${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "; weft install --help lists them"}`,
        );
      }
      if (at < 0) throw new CliError(`--set ${text}: write ${key}=VALUE (${setting.about})`);
      return [key, parseValue(setting, text.slice(at + 1))];
    }),
  );
}

function parseValue({ key, type, values }: Setting, text: string): string | number | boolean {
  const refuse = (must: string): never => {
    throw new CliError(`--set ${key}=${text}: must be ${must}`);
  };
  if (type === "flag") return text === "true" ? true : text === "false" ? false : refuse("true or false");
  if (type === "count") return /^[0-9]{1,9}$/.test(text) && Number(text) > 0 ? Number(text) : refuse("a whole number from 1");
  return values === undefined || values.includes(text) ? text : refuse(values.join(" or "));
}

function missingText(missing: readonly Setting[], facts: ClusterFacts | undefined, why: string | undefined): string {
  const lines = missing.map(({ key, about }) => `  --set ${key}=...   ${about}${facts?.unknown[key] === undefined ? "" : `\n        (${facts.unknown[key]})`}`);
  const reason =
    facts === undefined ? `the cluster was not asked (${why ?? "no kubeconfig"}), so say what it would have told` : "the cluster does not tell everything; say";
  return `${reason}:\n${lines.map((line) => `    ${line}`).join("\n")}`;
}

/** "podCIDR: Invalid value" names the flag it came by. */
function flagOf(problem: string): string {
  const field = problem.split(":")[0] ?? "";
  if (field === "profile" || field === "image") return `--${problem}`;
  return isRecord(KUBERNETES_DEFAULTS) && SETTINGS.some(({ key }) => key === field) ? `--set ${problem}` : problem;
}
