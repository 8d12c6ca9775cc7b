/** `weft sidecar`: the container istio-proxy of a pod on Kubernetes. All it is told stands in its environment. */
import { hideOwnMemory } from "#host/real/own-memory.ts";
import { realHost } from "#host/real/real.ts";
import { createLog } from "#run/log.ts";
import { runProgram } from "#run/program.ts";
import { startSidecar } from "#sidecar/sidecar.ts";

hideOwnMemory();
const host = realHost();
const log = createLog({ program: "proxy", clock: host.clock, write: (line) => process.stderr.write(line) });

await runProgram(process, log, () => startSidecar(host, { env: process.env, log, quit: () => process.kill(process.pid, "SIGTERM") }));
