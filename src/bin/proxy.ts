/** `weft proxy -c FILE`, and what a pod's container istio-proxy is: Envoy's bootstrap in, a proxy until SIGTERM. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { ConfigProblem } from "#decide/config-problem.ts";
import { HostError } from "#host/host-error.ts";
import { realHost } from "#host/real/real.ts";
import { startProxy } from "#proxy/proxy.ts";
import { createLog } from "#run/log.ts";
import { runProgram } from "#run/program.ts";

const { values } = parseArgs({ options: { config: { type: "string", short: "c" } }, allowPositionals: true, strict: false });
const host = realHost();
const log = createLog({ program: "proxy", clock: host.clock, write: (line) => process.stderr.write(line), human: process.stderr.isTTY === true });

/** Wrong input is told in one line and a status of its own; anything else is a fault of ours and keeps its stack. */
function fail(message: string): never {
  process.stderr.write(`weft proxy: ${message}\n`);
  process.exit(1);
}

const file = values["config"];
if (typeof file !== "string") fail("give Envoy's bootstrap: weft proxy -c FILE");
let bootstrap = "";
try {
  bootstrap = readFileSync(file, "utf8");
} catch (error) {
  fail(`${file}: ${error instanceof Error ? error.message : String(error)}`);
}

await runProgram(process, log, async () => {
  try {
    return await startProxy(host, { bootstrap, log, quit: () => process.kill(process.pid, "SIGTERM") });
  } catch (error) {
    if (error instanceof ConfigProblem || error instanceof HostError) fail(`${file}: ${error.message}`);
    throw error;
  }
});
