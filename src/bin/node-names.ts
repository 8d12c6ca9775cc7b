/**
 * `weft names --kubernetes`: answers names on a node of Kubernetes, from what its agent writes. With --check alive|ready it asks the
 * one that runs in this pod instead, and tells by its status: that is what probes run.
 */
import { parseArgs } from "node:util";
import { NAMES_CHECK_SOCKET, NODE_NAMES_FILE } from "#compile/install/names.ts";
import { checkNodeNames, startNodeNames } from "#dns/dns.ts";
import { realHost } from "#host/real/real.ts";
import { KUBERNETES_CONFIG_FILE, parseKubernetesConfig } from "#model/kubernetes-config.ts";
import { createLog } from "#run/log.ts";
import { runProgram } from "#run/program.ts";

const { values } = parseArgs({
  options: {
    config: { type: "string", default: KUBERNETES_CONFIG_FILE },
    zone: { type: "string", default: NODE_NAMES_FILE },
    checks: { type: "string", default: NAMES_CHECK_SOCKET },
    check: { type: "string" },
    wait: { type: "string", default: "0" },
  },
});
const host = realHost();

async function run(): Promise<void> {
  const log = createLog({ program: "names", clock: host.clock, write: (line) => void process.stderr.write(line) });
  await runProgram(process, log, async () => {
    const config = parseKubernetesConfig(await host.files.readText(values.config));
    return startNodeNames(host, { config, zoneFile: values.zone, resolvers: "/etc/resolv.conf", checks: values.checks }, log, (error) => {
      log.error("names cannot be answered", { object: config.dnsAddress, error });
      process.exit(1);
    });
  });
}

/** Its text is what an event about the pod says. */
async function ask(check: string): Promise<void> {
  const waitMs = Number(values.wait) * 1000;
  if (!(waitMs >= 0)) {
    process.stderr.write(`weft names: --wait ${JSON.stringify(values.wait)}: a number of seconds, such as 20\n`);
    process.exit(2);
  }
  const { ok, text } = await checkNodeNames(host, values.checks, { check, waitMs });
  process.stdout.write(`${text}\n`);
  process.exit(ok ? 0 : 1);
}

await (values.check === undefined ? run() : ask(values.check));
