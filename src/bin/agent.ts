/** The agent of one node on the real machine: `agent.ts --config FILE --node NAME`, in the node's network namespace. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { start } from "#agent/agent.ts";
import { realHost } from "#host/real/real.ts";
import { parseRuntimeConfig } from "#model/config.ts";
import { createLog } from "#run/log.ts";
import { runProgram } from "#run/program.ts";

const { values } = parseArgs({ options: { config: { type: "string" }, node: { type: "string" } } });
const { config = "/run/weft/config.json", node = "" } = values;
const host = realHost();
const log = createLog({ program: "agent", clock: host.clock, write: (line) => void process.stderr.write(line) });

await runProgram(process, log, () => start(host, { runtime: parseRuntimeConfig(readFileSync(config, "utf8")), node }, log.with({ node })));
