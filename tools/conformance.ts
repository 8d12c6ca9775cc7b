/** `npm run conformance -- e2e|gateway-api [options]`: the tests that others wrote, against Weft on a real Kubernetes. */
import { Command, InvalidArgumentError } from "commander";
import { e2e } from "./conformance/e2e.ts";
import { gatewayApi } from "./conformance/gateway-api.ts";
import { findPeer, takeDownLeftovers } from "./kubernetes/peer.ts";

const ended = (): void => void end();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) process.on(signal, ended);

const program = new Command("npm run conformance --").description(
  "runs the tests that others wrote against Weft on a real Kubernetes, and writes docs/conformance",
);

suite("e2e", "Kubernetes' own tests of networks and NetworkPolicy")
  .option("--focus <regex>", "of the specs that are asked, those whose names match", regex)
  .option("--rest", "only what has not passed yet", false)
  .option("--shards <n>", "so many at once", count, 3)
  .option("--baseline", "without Weft: what can pass here at all; writes nothing", false)
  .action(async ({ focus, rest, shards, baseline, running, minutes }: E2eArguments) => {
    const chosen = focus === undefined ? {} : { focus };
    process.exitCode = (await e2e({ ...chosen, isBaseline: baseline, isRest: rest, isRunning: running, shards, timeoutMinutes: minutes })) ? 0 : 1;
  });

suite("gateway-api", "the suite of Gateway API, profiles GATEWAY-HTTP and MESH-HTTP")
  .option("--test <name>", "one test; writes nothing")
  .action(async ({ test, running, minutes }: GatewayArguments) => {
    process.exitCode = (await gatewayApi({ ...(test === undefined ? {} : { test }), isRunning: running, timeoutMinutes: minutes })) ? 0 : 1;
  });

await program.parseAsync();
// The IPC channel to the script that started this would keep it alive; that it goes is no end before the end.
process.off("disconnect", ended);
if (process.connected) process.disconnect();

interface SuiteArguments {
  readonly running: boolean;
  readonly minutes: number;
}

interface E2eArguments extends SuiteArguments {
  readonly focus?: RegExp;
  readonly rest: boolean;
  readonly shards: number;
  readonly baseline: boolean;
}

interface GatewayArguments extends SuiteArguments {
  readonly test?: string;
}

function suite(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option("--running", "against the cluster that is up, as it is", false)
    .option("--minutes <n>", "at most", count, 90);
}

function regex(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("It must be a whole number from 1 on.");
  return value;
}

/** The cluster ends with us; what the tests still wait for is of no use. */
async function end(): Promise<never> {
  const peer = findPeer();
  if (peer !== undefined) await takeDownLeftovers(peer);
  process.exit(130);
}
