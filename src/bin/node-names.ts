/** `weft names --kubernetes`: answers names on a node of Kubernetes, from what its agent writes. */
import { parseArgs } from "node:util";
import { NODE_NAMES_FILE } from "#compile/install/names.ts";
import { startNodeNames } from "#dns/dns.ts";
import { realHost } from "#host/real/real.ts";
import { KUBERNETES_CONFIG_FILE, parseKubernetesConfig } from "#model/kubernetes-config.ts";
import { createLog } from "#run/log.ts";
import { runProgram } from "#run/program.ts";

const { values } = parseArgs({
  options: { config: { type: "string", default: KUBERNETES_CONFIG_FILE }, zone: { type: "string", default: NODE_NAMES_FILE } },
});
const host = realHost();
const log = createLog({ program: "names", clock: host.clock, write: (line) => void process.stderr.write(line) });

await runProgram(process, log, async () => {
  const config = parseKubernetesConfig(await host.files.readText(values.config));
  return startNodeNames(host, { config, zoneFile: values.zone, resolvers: "/etc/resolv.conf" }, log, (error) => {
    log.error("names cannot be answered", { object: config.dnsAddress, error });
    process.exit(1);
  });
});
