/**
 * The agent of a Kubernetes node: `weft agent --kubernetes`, with NODE_NAME and NODE_IP in the environment and the cluster's
 * configuration at /etc/weft/config.json. `--config FILE` and `--kubeconfig FILE` are for trying it by hand.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { startOnKubernetes } from "#agent/agent.ts";
import { readKubeconfig } from "#client/kubeconfig.ts";
import { realHost } from "#host/real/real.ts";
import { KUBERNETES_CONFIG_FILE, parseKubernetesConfig } from "#model/kubernetes-config.ts";
import { createLog } from "#run/log.ts";
import { runProgram } from "#run/program.ts";

const { values } = parseArgs({
  options: {
    config: { type: "string" },
    kubeconfig: { type: "string" },
    "plugin-source": { type: "string" },
    "control-token": { type: "string" },
  },
});
const { NODE_NAME: node = "", NODE_IP: address = "" } = process.env;
const host = realHost();
const log = createLog({ program: "agent", clock: host.clock, write: (line) => void process.stderr.write(line) });

function fail(message: string): never {
  process.stderr.write(`weft agent: ${message}\n`);
  process.exit(2);
}

if (node === "" || address === "") fail("NODE_NAME and NODE_IP must be in the environment (spec.nodeName and status.hostIP by fieldRef)");
await runProgram(process, log, async () => {
  const config = parseKubernetesConfig(readFileSync(values.config ?? KUBERNETES_CONFIG_FILE, "utf8"));
  const access = values.kubeconfig === undefined ? undefined : await readKubeconfig(host.files, values.kubeconfig);
  const paths = {
    ...(values["plugin-source"] === undefined ? {} : { pluginSource: values["plugin-source"] }),
    ...(values["control-token"] === undefined ? {} : { controlToken: values["control-token"] }),
  };
  return startOnKubernetes(host, { config, node, address, paths, ...(access === undefined ? {} : { access }) }, log.with({ node }));
});
