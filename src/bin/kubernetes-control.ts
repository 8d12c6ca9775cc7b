/**
 * The control plane on a Kubernetes cluster: `kubernetes-control.ts [--config FILE] [--kubeconfig FILE]`. Without a kubeconfig it
 * is its pod's service account to the API server.
 */
import { parseArgs } from "node:util";
import { connectApi } from "#client/client.ts";
import { inClusterAccess, readKubeconfig } from "#client/kubeconfig.ts";
import { startKubernetesControl } from "#control/control.ts";
import { realHost } from "#host/real/real.ts";
import { KUBERNETES_CONFIG_FILE, parseKubernetesConfig } from "#model/kubernetes-config.ts";
import { createLog } from "#run/log.ts";
import { Parts, runProgram } from "#run/program.ts";
import type { Running } from "#run/program.ts";

const { values } = parseArgs({
  options: { config: { type: "string", default: KUBERNETES_CONFIG_FILE }, kubeconfig: { type: "string" }, listen: { type: "string", default: "0.0.0.0" } },
});
const host = realHost();
const log = createLog({ program: "control", clock: host.clock, write: (line) => void process.stderr.write(line) });

async function start(): Promise<Running> {
  const config = parseKubernetesConfig(await host.files.readText(values.config));
  const access = values.kubeconfig === undefined ? await inClusterAccess(host, { url: config.apiServer }) : await readKubeconfig(host.files, values.kubeconfig);
  const api = connectApi({ host, ...access, userAgent: "weft-control", onWarning: (text) => log.debug("the API server warns", { text }) });
  const identity = `${process.env["POD_NAME"] ?? "weft-control"}_${host.random.uuid()}`;
  const parts = new Parts({ clock: host.clock, log });
  const control = parts.add("control", startKubernetesControl(host, { api, config, identity, log, ip: values.listen }));
  control.ready.catch((error: unknown) => {
    log.error("could not start", { error });
    process.exit(1);
  });
  return parts;
}

await runProgram(process, log, start);
