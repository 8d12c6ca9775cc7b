/** What injection wrote into the container's environment (compile/inject/kubernetes-form.ts), read strictly. */
import type { ProxyIdentity } from "#compile/inject/proxy-bootstrap.ts";
import { APP_PROBES_ENV, parseAppProbes, type AppProbes } from "#model/app-probes.ts";
import { isRecord } from "#model/decode.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface SidecarSettings {
  readonly identity: ProxyIdentity;
  readonly probes: AppProbes;
}

/** The container was not written by injection, or changed afterwards; the message says which variable is meant. */
export class EnvironmentError extends Error {}

export function readEnvironment(env: Environment): SidecarSettings {
  const needed = (name: string): string => {
    const value = env[name];
    if (value === undefined || value === "")
      throw new EnvironmentError(`environment variable ${name} is not set; containers that Weft's webhook injects have it`);
    return value;
  };
  const kind = needed("WEFT_PROXY_KIND");
  if (kind !== "sidecar" && kind !== "gateway") throw new EnvironmentError(`environment variable WEFT_PROXY_KIND is "${kind}"; it must be sidecar or gateway`);
  const identity: ProxyIdentity = {
    kind,
    name: needed("POD_NAME"),
    namespace: needed("POD_NAMESPACE"),
    podIP: needed("POD_IP"),
    labels: labelsOf(env["WEFT_POD_LABELS"] ?? "{}"),
    serviceAccount: needed("SERVICE_ACCOUNT"),
  };
  return { identity, probes: probesOf(env[APP_PROBES_ENV] ?? "{}") };
}

function labelsOf(json: string): Record<string, string> {
  try {
    const value: unknown = JSON.parse(json);
    if (isRecord(value)) return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
  } catch {
    // Said below, as anything else that is no object.
  }
  throw new EnvironmentError("environment variable WEFT_POD_LABELS is not a JSON object of labels");
}

function probesOf(json: string): AppProbes {
  try {
    return parseAppProbes(json);
  } catch (error) {
    throw new EnvironmentError(`environment variable ${APP_PROBES_ENV}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
