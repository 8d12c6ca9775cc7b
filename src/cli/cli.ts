/**
 * The command line: one function from arguments to an exit status. Each command is a file of its own, loaded when it is
 * run, so that `weft kubeconfig` does not pay for `weft why`.
 *
 * Exit status: 0 yes or done; 1 no (denied, not ready, refused by the API); 2 could not tell (wrong usage, no cluster).
 * A command throws CliError for what the user can act on; it is printed once, here, as one paragraph. Programs that are
 * not ours to import (the proxy) are handed in by bin/weft.ts.
 */
import { Command, CommanderError, Option } from "commander";
import { HostError } from "#host/host-error.ts";
import { completionScript } from "./completion.ts";
import { CliError, type CliContext } from "./context.ts";
import type { FlowsOptions } from "./flows.ts";
import { addInstallCommands } from "./install/commands.ts";
import type { ClusterChoice } from "./kubernetes/choose-cluster.ts";
import { addClusterChoice } from "./kubernetes/options.ts";
import type { UpOptions } from "./up/up.ts";
import { VERSION } from "./version.ts";
import type { WhyOptions } from "./why/why.ts";

export type { Terminal } from "./context.ts";

export interface OtherPrograms {
  /** Runs Node with these arguments on this terminal; resolves with its exit status. */
  node(args: readonly string[]): Promise<number>;
}

export async function cli(context: CliContext, args: readonly string[], others: OtherPrograms): Promise<number> {
  const { terminal } = context;
  let code = 0;
  const program = buildProgram(context, others, (status) => {
    code = status;
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof CliError) {
      if (error.message !== "") terminal.err(`weft: ${error.message}\n`);
      return error.status;
    }
    // What the machine refused is said in its words; anything else is a fault of ours, and keeps its stack.
    if (error instanceof HostError) {
      terminal.err(`weft: ${error.message}\n`);
      return 2;
    }
    throw error;
  }
}

type Finish = (status: number) => void;

function buildProgram(context: CliContext, others: OtherPrograms, finish: Finish): Command {
  const { terminal } = context;
  const output = { writeOut: terminal.out, writeErr: (text: string) => terminal.err(text.replace(/^error: /, "weft: ")) };
  const program = new Command("weft")
    .description("A pod network and a service mesh in one system that says why.")
    .version(VERSION, "--version", "print the version")
    .helpOption("-h, --help", "show help")
    .exitOverride()
    .enablePositionalOptions()
    .configureOutput(output)
    .configureHelp({ optionDescription })
    .showHelpAfterError("(weft --help shows the commands)")
    .addHelpText("after", EXAMPLES);
  addClusterCommands(program, context, finish);
  addWhyCommand(program, context, finish);
  addFlowsCommand(program, context, finish);
  addInstallCommands(program, context, finish);
  addProxyCommand(program, context, others, finish);
  program
    .command("completion")
    .description("print a completion script")
    .argument("<shell>", "bash, zsh or fish")
    .addHelpText("after", "\nExample:\n  source <(weft completion bash)")
    .action((shell: string) => terminal.out(completionScript(shell, program)));
  for (const command of program.commands)
    command.exitOverride().configureOutput(output).showHelpAfterError(`(weft ${command.name()} --help shows its options)`);
  return program;
}

/** Defaults that say nothing ("false", "[]") are left out. */
function optionDescription({ description, defaultValue }: Option): string {
  return typeof defaultValue === "string" && defaultValue !== "" ? `${description} (default: ${defaultValue})` : description;
}

const EXAMPLES = `
Examples:
  weft up -f examples/bookinfo           a two-node cluster with Bookinfo
  weft status                            what is true now
  weft enter outside -- curl 192.168.99.240
  export KUBECONFIG=$(weft kubeconfig)   kubectl works from here on
  weft down                              ends it; the state stays
  weft install --wait                    onto the Kubernetes cluster of KUBECONFIG`;

function nameOption(): Option {
  return new Option("--name <name>", "which cluster").default("default");
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

interface Named {
  readonly name: string;
}

function addClusterCommands(program: Command, context: CliContext, finish: Finish): void {
  program
    .command("up")
    .description("start a cluster on this machine")
    .option("--nodes <count>", "number of nodes; as many as last time, at first 2", Number)
    .addOption(nameOption())
    .option("-f, --file <path>", "apply this file or folder; may be given many times", collect, [])
    .option("--config <file>", "a ClusterConfig (images and the programs they stand for)")
    .option("--fresh", "forget the state of an earlier run", false)
    .option("--detach", "leave it running in the background", false)
    .addOption(new Option("--background").default(false).hideHelp())
    .addOption(new Option("--programs <folder>").hideHelp())
    .addHelpText("after", "\nExamples:\n  weft up\n  weft up --nodes 3 -f examples/bookinfo\n  weft up --name test --fresh --detach")
    .action(async (options: UpOptions) => finish(await (await import("./up/up.ts")).up(context, options)));
  program
    .command("down")
    .description("end a cluster; its state stays")
    .addOption(nameOption())
    .action(async ({ name }: Named) => finish(await (await import("./down.ts")).down(context, name)));
  addClusterChoice(program.command("status").description("what is true now; exit status 1 when something is not Ready"))
    .option("-o, --output <format>", "json")
    .addHelpText("after", "\nExamples:\n  weft status\n  weft status -o json\n  weft status --kubeconfig admin.conf")
    .action(async ({ output, ...choice }: ClusterChoice & { readonly output?: string }) =>
      finish(await (await import("./status.ts")).status(context, choice, output)),
    );
  program
    .command("kubeconfig")
    .description("print the path of the kubeconfig")
    .addOption(nameOption())
    .addHelpText("after", "\nExample:\n  export KUBECONFIG=$(weft kubeconfig)")
    .action(async ({ name }: Named) => finish(await (await import("./kubeconfig.ts")).kubeconfig(context, name)));
  program
    .command("enter")
    .description('run a command in the network of a node, of a pod, or of a machine beside the nodes ("outside")')
    .addOption(nameOption())
    .argument("[place]", "node-1, a pod ([namespace/]name), or outside; without it: beside the control plane")
    .argument("[command...]", "after --; without it: your shell")
    .passThroughOptions()
    .addHelpText(
      "after",
      "\nExamples:\n  weft enter node-1 -- ip route\n  weft enter outside -- curl -s http://192.168.99.240/productpage\n  weft enter productpage-v1 -- curl -s http://reviews:9080/reviews/1",
    )
    .action(async (_place: string | undefined, _command: readonly string[], { name }: Named) => {
      const { place, command } = splitEnter(context.terminal.args);
      finish(await (await import("./enter.ts")).enter(context, name, place, command));
    });
}

/**
 * The place stands before "--", the command after it; commander does not tell which side a word stood on. Without "--"
 * the first word that is no option is the place, and what follows is the command.
 */
export function splitEnter(args: readonly string[]): { readonly place: string | undefined; readonly command: readonly string[] } {
  const words = args.slice(args.indexOf("enter") + 1);
  let index = 0;
  while (index < words.length && words[index]?.startsWith("-") === true && words[index] !== "--") index += words[index] === "--name" ? 2 : 1;
  const place = words[index] === "--" ? undefined : words[index];
  const rest = words.slice(place === undefined ? index : index + 1);
  return { place, command: rest[0] === "--" ? rest.slice(1) : rest };
}

function addWhyCommand(program: Command, context: CliContext, finish: Finish): void {
  addClusterChoice(program.command("why"))
    .description("what decides the fate of a request, hop by hop; exit status 1 when it is denied, 2 when nobody can tell")
    .argument(
      "<from>",
      "[namespace/]pod, deploy/NAME, svc/NAME, a node, an address, gateway or outside (anybody; say an address where policies name addresses); the beginning of a pod's name will do",
    )
    .argument("<to>", "a service, pod, address, host name, URL or gateway; with :PORT (or its name) where there are several, and /udp")
    .option("-n, --namespace <namespace>", "of names that say none", "default")
    .option("--method <method>", "of the request", "GET")
    .option("--path <path>", "of the request (default: / or the URL's)")
    .option("--header <name=value>", "of the request; may be given many times", collect, [])
    .option("-f, --file <path>", "answer from manifests alone: a file or folder; may be given many times", collect, [])
    .option("-o, --output <format>", "json")
    .option("--short", "one line", false)
    .addHelpText(
      "after",
      "\nExamples:\n  weft why productpage reviews:9080 --path /reviews/1\n  weft why outside gateway --path /productpage\n  weft why -f examples/bookinfo deploy/productpage-v1 svc/ratings -o json\n  weft why reviews-v2 http://details:9080/details/0 --header end-user=jason",
    )
    .action(async (from: string, to: string, options: WhyOptions) => finish(await (await import("./why/why.ts")).why(context, from, to, options)));
}

function addFlowsCommand(program: Command, context: CliContext, finish: Finish): void {
  addClusterChoice(program.command("flows"))
    .description("packets that nodes dropped, with the policies that isolate the pod")
    .option("--verdict <verdict>", "dropped")
    .option("-o, --output <format>", "json")
    .option("-f, --follow", "go on until Ctrl-C", false)
    .addHelpText("after", "\nExamples:\n  weft flows --verdict dropped\n  weft flows -o json\n  weft flows -f")
    .action(async (options: FlowsOptions) => finish(await (await import("./flows.ts")).flows(context, options)));
}

function addProxyCommand(program: Command, { host, terminal }: CliContext, others: OtherPrograms, finish: Finish): void {
  program
    .command("proxy")
    .description("run the proxy alone from an Envoy bootstrap, JSON or YAML")
    .requiredOption("-c, --config-path <file>", "the bootstrap")
    .addHelpText("after", "\nExample:\n  weft proxy -c bootstrap.yaml")
    .action(async ({ configPath }: { readonly configPath: string }) => {
      const [{ bundledPrograms }, { preloaded, programFile }] = await Promise.all([import("./up/bundled-programs.ts"), import("#model/config.ts")]);
      const programs = await bundledPrograms(host, terminal);
      finish(await others.node([...preloaded(programs, terminal.sourceRoot), programFile(programs, "proxy"), "-c", configPath]));
    });
}
