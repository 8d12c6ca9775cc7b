import type { Command } from "commander";

/** `--kubeconfig` and `--context`, as kubectl has them. */
export function addKubernetesChoice(command: Command): Command {
  return command
    .option("--kubeconfig <file>", "of a Kubernetes cluster; without it KUBECONFIG, then ~/.kube/config")
    .option("--context <name>", "of the kubeconfig; without it its current-context");
}

/** Commands that know both kinds of clusters. */
export function addClusterChoice(command: Command): Command {
  return addKubernetesChoice(command.option("--name <name>", "a cluster of this machine; without it KUBECONFIG, default, ~/.kube/config, in this order"));
}
