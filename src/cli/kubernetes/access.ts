/** The Kubernetes cluster that a person means: --kubeconfig, KUBECONFIG or ~/.kube/config, as kubectl has them. No kubectl is needed. */
import { readKubeconfig } from "#client/kubeconfig.ts";
import { HostError } from "#host/host-error.ts";
import { ClusterApi, type ApiAccess } from "#cli/cluster-api.ts";
import { CliError, type CliContext } from "#cli/context.ts";

export interface KubernetesChoice {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
}

export interface KubernetesCluster {
  readonly kind: "kubernetes";
  /** Of the kubeconfig's context, or the file's name. */
  readonly name: string;
  readonly access: ApiAccess;
  readonly api: ClusterApi;
}

/** In the order in which they are looked into; empty when there is none. */
export async function kubeconfigFiles({ host, terminal }: CliContext, { kubeconfig }: KubernetesChoice): Promise<readonly string[]> {
  if (kubeconfig !== undefined) return [kubeconfig];
  const { KUBECONFIG = "", HOME = "" } = terminal.env;
  const files = KUBECONFIG === "" ? (HOME === "" ? [] : [`${HOME}/.kube/config`]) : KUBECONFIG.split(":").filter((file) => file !== "");
  const found = await Promise.all(files.map(async (file) => ((await host.files.stat(file)) === undefined ? [] : [file])));
  return found.flat();
}

/** undefined when there is no kubeconfig at all. */
export async function findKubernetes(context: CliContext, choice: KubernetesChoice): Promise<KubernetesCluster | undefined> {
  const files = await kubeconfigFiles(context, choice);
  const problems: string[] = [];
  for (const file of files) {
    try {
      const access = await readKubeconfig(context.host.files, file, choice.context);
      return { kind: "kubernetes", name: choice.context ?? hostOf(access.url), access, api: new ClusterApi(context.host, access) };
    } catch (error) {
      // With several files the context is in one of them.
      if (!(error instanceof HostError)) throw error;
      problems.push(error.message);
    }
  }
  if (problems.length > 0) throw new CliError(problems.join("\n      "));
  return undefined;
}

export async function openKubernetes(context: CliContext, choice: KubernetesChoice): Promise<KubernetesCluster> {
  const found = await findKubernetes(context, choice);
  if (found !== undefined) return found;
  const { KUBECONFIG = "" } = context.terminal.env;
  throw new CliError(
    KUBECONFIG === ""
      ? "no kubeconfig: neither --kubeconfig nor KUBECONFIG names a file, and ~/.kube/config is not there"
      : `no kubeconfig: KUBECONFIG is ${KUBECONFIG}, and there is no such file; name another, or unset it to use ~/.kube/config`,
  );
}

function hostOf(url: string): string {
  return new URL(url).host;
}
