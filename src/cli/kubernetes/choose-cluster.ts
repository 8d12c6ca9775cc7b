/**
 * Which cluster a command is about. `--name` is one of this machine; `--kubeconfig`, `--context` and KUBECONFIG are what they
 * are for kubectl. When nothing is said: the cluster "default" of this machine if it runs, else ~/.kube/config.
 */
import { CliError, type CliContext } from "#cli/context.ts";
import { openRunningCluster, type RunningCluster } from "#cli/running-cluster.ts";
import { findRunning, stateFolder } from "#cli/state.ts";
import { findKubernetes, openKubernetes, type KubernetesChoice, type KubernetesCluster } from "./access.ts";

export interface ClusterChoice extends KubernetesChoice {
  /** Of a cluster of this machine. */
  readonly name?: string | undefined;
}

export interface EmbeddedCluster extends RunningCluster {
  readonly kind: "embedded";
  readonly name: string;
}

export type ChosenCluster = EmbeddedCluster | KubernetesCluster;

const DEFAULT = "default";

export async function chooseCluster(context: CliContext, { name, ...choice }: ClusterChoice): Promise<ChosenCluster> {
  const isSaid = choice.kubeconfig !== undefined || choice.context !== undefined;
  if (name !== undefined && isSaid) throw new CliError("--name is a cluster of this machine, --kubeconfig and --context are others: say one of them");
  if (name !== undefined) return embedded(context, name);
  const own = ownCluster(context);
  if (isSaid) return openKubernetes(context, choice);
  if (own !== undefined) return embedded(context, own);
  if ((context.terminal.env["KUBECONFIG"] ?? "") !== "") return openKubernetes(context, choice);
  if ((await findRunning(context.host.files, stateFolder(context.terminal, DEFAULT))) !== undefined) return embedded(context, DEFAULT);
  return (await findKubernetes(context, choice)) ?? embedded(context, DEFAULT);
}

async function embedded(context: CliContext, name: string): Promise<EmbeddedCluster> {
  return { kind: "embedded", name, ...(await openRunningCluster(context, name)) };
}

/** KUBECONFIG may be what `weft kubeconfig` printed. */
function ownCluster({ terminal }: CliContext): string | undefined {
  const file = terminal.env["KUBECONFIG"] ?? "";
  const name = /\/([a-z0-9][-a-z0-9]*)\/kubeconfig$/.exec(file)?.[1];
  return name !== undefined && file === `${stateFolder(terminal, name)}/kubeconfig` ? name : undefined;
}
