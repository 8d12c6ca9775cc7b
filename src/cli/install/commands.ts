/** `weft install` and `weft uninstall`. */
import type { Command } from "commander";
import { SETTINGS } from "#compile/install/settings.ts";
import type { CliContext } from "#cli/context.ts";
import { addKubernetesChoice } from "#cli/kubernetes/options.ts";
import { VERSION } from "#cli/version.ts";
import type { InstallOptions } from "./install.ts";
import type { UninstallOptions } from "./uninstall.ts";

const TIMEOUT_SECONDS = 300;

export function addInstallCommands(program: Command, context: CliContext, finish: (status: number) => void): void {
  addKubernetesChoice(program.command("install"))
    .description("print what Weft is on a Kubernetes cluster, for kubectl apply -f -; with --wait: apply it, and say what it waits for")
    .option("--profile <profile>", "full: pod network, Services, DNS, policy and mesh; mesh: behind another CNI plugin", "full")
    .option("--image <name>", "the image of every program; npm run image makes it", `localhost/weft:${VERSION}`)
    .option("--set <key=value>", "a setting; may be given many times", (value: string, before: readonly string[]) => [...before, value], [])
    .option("--wait", "apply, prune what an older installation had, and wait until all of it works", false)
    .option("--timeout <seconds>", "for each thing that is waited for", Number, TIMEOUT_SECONDS)
    .addHelpText("after", `\n${settingsHelp()}\n${INSTALL_EXAMPLES}`)
    .action(async (options: InstallOptions) => finish(await (await import("./install.ts")).install(context, options)));
  addKubernetesChoice(program.command("uninstall"))
    .description("remove Weft from a Kubernetes cluster: every object, and what it made on nodes")
    .option("--wait", "also until its namespaces are gone", false)
    .option("--crds", "also the definitions of Istio's and Gateway API's kinds that Weft brought, and with them every object of theirs", false)
    .option("--timeout <seconds>", "for each thing that is waited for", Number, TIMEOUT_SECONDS)
    .addHelpText("after", "\nExamples:\n  weft uninstall\n  weft uninstall --wait --crds")
    .action(async (options: UninstallOptions) => finish(await (await import("./uninstall.ts")).uninstall(context, options)));
}

function settingsHelp(): string {
  const width = Math.max(...SETTINGS.map(({ key }) => key.length));
  const lines = SETTINGS.map(({ key, about, default: standard, values, profile }) => {
    const may = values === undefined ? "" : ` (${values.join(", ")})`;
    const otherwise = standard === undefined ? "; found in the cluster" : standard === "" ? "" : `; default ${String(standard)}`;
    const only = profile === undefined ? "" : `; profile ${profile} only`;
    return `  ${key.padEnd(width)}  ${about}${may}${otherwise}${only}`;
  });
  return `Settings:\n${lines.join("\n")}`;
}

const INSTALL_EXAMPLES = `
Examples:
  weft install --wait
  weft install --profile mesh --image example.org/weft:${VERSION} | kubectl apply -f -
  weft install --wait --set loadBalancerCIDR=192.0.2.240/28 --set control.replicas=1`;
