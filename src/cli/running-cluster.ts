/** The API of a cluster that runs on this machine, for commands that ask it something. */
import { parse } from "yaml";
import { ClusterApi, type ApiAccess } from "./cluster-api.ts";
import { CliError, type CliContext } from "./context.ts";
import { getRunning, stateFolder, type SupervisorRecord } from "./state.ts";

export interface RunningCluster {
  readonly record: SupervisorRecord;
  readonly access: ApiAccess;
  readonly api: ClusterApi;
}

interface Kubeconfig {
  readonly clusters?: readonly { readonly cluster?: Readonly<Record<string, string>> }[];
  readonly users?: readonly { readonly user?: Readonly<Record<string, string>> }[];
}

export async function openRunningCluster(context: CliContext, name: string): Promise<RunningCluster> {
  const record = await getRunning(context, name);
  const file = `${stateFolder(context.terminal, name)}/kubeconfig`;
  const config = parse(await context.host.files.readText(file)) as Kubeconfig;
  const cluster = config.clusters?.[0]?.cluster ?? {};
  const user = config.users?.[0]?.user ?? {};
  const pem = (base64: string | undefined): string => {
    if (base64 === undefined) throw new CliError(`${file} has no certificate data; weft up writes it anew`);
    return Buffer.from(base64, "base64").toString();
  };
  const access: ApiAccess = {
    url: cluster["server"] ?? `https://127.0.0.1:${record.ports.api}`,
    tls: {
      ca: pem(cluster["certificate-authority-data"]),
      certificate: pem(user["client-certificate-data"]),
      privateKey: pem(user["client-key-data"]),
    },
    log: `${stateFolder(context.terminal, name)}/logs/control.log`,
  };
  return { record, access, api: new ClusterApi(context.host, access) };
}
