/** `weft kubeconfig`: the path of the file, for `export KUBECONFIG=$(weft kubeconfig)`. */
import { CliError, type CliContext } from "./context.ts";
import { stateFolder } from "./state.ts";

export async function kubeconfig({ host, terminal }: CliContext, name: string): Promise<number> {
  const file = `${stateFolder(terminal, name)}/kubeconfig`;
  if ((await host.files.stat(file)) === undefined)
    throw new CliError(`cluster "${name}" was never started; start it:  weft up${name === "default" ? "" : ` --name ${name}`}`);
  terminal.out(`${file}\n`);
  return 0;
}
