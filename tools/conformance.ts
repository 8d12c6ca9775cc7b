/**
 * `npm run conformance -- e2e|gateway-api`: the tests that others wrote, against Weft on a real Kubernetes. For e2e:
 *   --focus REGEX   of the specs that are asked, those whose names match
 *   --rest          only what has not passed yet
 *   --shards N      at once; --minutes N   at most
 *   --running       against the cluster that is up, as it is
 *   --baseline      without Weft: what can pass here at all
 * For gateway-api: --test NAME, --running, --minutes N.
 */
import { parseArgs } from "node:util";
import { e2e } from "./conformance/e2e.ts";
import { gatewayApi } from "./conformance/gateway-api.ts";
import { findPeer, takeDownLeftovers } from "./kubernetes/peer.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    focus: { type: "string" },
    test: { type: "string" },
    rest: { type: "boolean", default: false },
    running: { type: "boolean", default: false },
    baseline: { type: "boolean", default: false },
    shards: { type: "string", default: "3" },
    minutes: { type: "string", default: "90" },
  },
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) process.on(signal, () => void end());
process.exitCode = (await run(positionals[0])) ? 0 : 1;
// The IPC channel to the script that started this would keep it alive.
if (process.connected) process.disconnect();

function run(suite: string | undefined): Promise<boolean> {
  const timeoutMinutes = Number(values.minutes);
  if (suite === "e2e") {
    const focus = values.focus === undefined ? {} : { focus: new RegExp(values.focus) };
    return e2e({ ...focus, isBaseline: values.baseline, isRest: values.rest, isRunning: values.running, shards: Number(values.shards), timeoutMinutes });
  }
  if (suite === "gateway-api") return gatewayApi({ ...(values.test === undefined ? {} : { test: values.test }), isRunning: values.running, timeoutMinutes });
  throw new Error(`no suite ${JSON.stringify(suite)}: say  npm run conformance -- e2e  or  npm run conformance -- gateway-api`);
}

/** The cluster ends with us; what the tests still wait for is of no use. */
async function end(): Promise<never> {
  const peer = findPeer();
  if (peer !== undefined) await takeDownLeftovers(peer);
  process.exit(130);
}
