/**
 * `npm run bench`: Weft's proxy beside nginx, HAProxy and Envoy, in one run and interleaved, because figures of
 * different days cannot be compared. The proxy has core 0 for itself, load and backend share core 1; what is compared
 * is the proxy's CPU time per request, which keeps its meaning when the load cannot fill the core.
 *
 * Options: --rounds N (3), --seconds N (4) a measurement, --connections N (64), --only NAME[,NAME], --json FILE.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeCertificates } from "./certificates.ts";
import { contestants, nginxBackend, type Contestant, type Role } from "./contestants.ts";
import { cpuNanoseconds, median, memoryMiB, processTree, runLoad } from "./measure.ts";

interface Scenario {
  readonly name: string;
  readonly hops: readonly Role[];
}

const SCENARIOS: readonly Scenario[] = [
  { name: "HTTP/1.1 plain, one hop", hops: ["plain"] },
  { name: "HTTP/1.1, two hops with mTLS between", hops: ["client", "server"] },
];

interface Sample {
  readonly cpuMicroseconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requestsPerSecond: number;
  readonly errors: number;
  readonly rssMiB: number;
  readonly pssMiB: number;
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "4" },
    connections: { type: "string", default: "64" },
    only: { type: "string" },
    json: { type: "string" },
  },
});
const PROXY_CPU = 0;
const LOAD_CPU = cpus().length > 1 ? 1 : 0;
const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

await main();

async function main(): Promise<void> {
  const only = options.only?.split(",");
  const wanted = contestants(root).filter((contestant) => only === undefined || only.includes(contestant.name));
  const present = wanted.filter((contestant) => contestant.missing === undefined);
  for (const { name, missing } of wanted) if (missing !== undefined) console.log(`SKIPPED ${name}: not on this machine; to compare with it: ${missing}`);
  const certificates = makeCertificates(folder);
  const backendPort = await freePort();
  await start(nginxBackend(folder, backendPort), backendPort, LOAD_CPU);
  const report: object[] = [];
  for (const scenario of SCENARIOS) {
    console.log(`\n${scenario.name}: ${options.connections} connections, ${options.rounds} rounds of ${options.seconds} s, medians`);
    const samples = new Map<string, Sample[]>(present.map((contestant) => [contestant.name, []]));
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const contestant of present) {
        samples.get(contestant.name)?.push(await measure(contestant, scenario, { backendPort, certificates }));
      }
    }
    report.push({ scenario: scenario.name, results: print(samples) });
  }
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  process.exit(0);
}

async function measure(
  contestant: Contestant,
  scenario: Scenario,
  common: { readonly backendPort: number; readonly certificates: ReturnType<typeof makeCertificates> },
): Promise<Sample> {
  const ports: number[] = [];
  for (const _ of scenario.hops) ports.push(await freePort());
  const started: ChildProcess[] = [];
  for (let at = scenario.hops.length - 1; at >= 0; at--) {
    const role = scenario.hops[at];
    const port = ports[at];
    if (role === undefined || port === undefined) continue;
    const upstreamPort = ports[at + 1] ?? common.backendPort;
    started.push(await start(contestant.command({ role, port, upstreamPort, certificates: common.certificates, folder }), port, PROXY_CPU));
  }
  const load = { url: `http://127.0.0.1:${ports[0]}/bench`, connections: Number(options.connections), cpu: LOAD_CPU };
  await runLoad({ ...load, seconds: 1 });
  const pids = started.flatMap((child) => (child.pid === undefined ? [] : processTree(child.pid)));
  const before = cpuNanoseconds(pids);
  const result = await runLoad({ ...load, seconds: Number(options.seconds) });
  const cpu = cpuNanoseconds(pids) - before;
  const memory = memoryMiB(pids);
  for (const child of started) await end(child);
  return {
    cpuMicroseconds: cpu / 1000 / result.requests,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    requestsPerSecond: result.requestsPerSecond,
    errors: result.errors,
    rssMiB: memory.rss,
    pssMiB: memory.pss,
  };
}

/** Prints the table with ratios to each peer; answers the medians by contestant. */
function print(samples: ReadonlyMap<string, readonly Sample[]>): object {
  const middle = (name: string, pick: (sample: Sample) => number): number => median((samples.get(name) ?? []).map(pick));
  const own = middle("weft", (sample) => sample.cpuMicroseconds);
  const rows = [...samples.keys()].map((name) => {
    const cpu = middle(name, (sample) => sample.cpuMicroseconds);
    return {
      proxy: name,
      "CPU us/request": round(cpu, 1),
      "weft / it": round(own / cpu, 2),
      "p50 ms": round(
        middle(name, (sample) => sample.p50Ms),
        2,
      ),
      "p99 ms": round(
        middle(name, (sample) => sample.p99Ms),
        2,
      ),
      "requests/s": Math.round(middle(name, (sample) => sample.requestsPerSecond)),
      "RSS MiB": round(
        middle(name, (sample) => sample.rssMiB),
        1,
      ),
      "PSS MiB": round(
        middle(name, (sample) => sample.pssMiB),
        1,
      ),
      errors: (samples.get(name) ?? []).reduce((sum, sample) => sum + sample.errors, 0),
    };
  });
  console.table(rows);
  return rows;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Starts a program on a core and waits until its port answers. */
async function start(command: readonly [string, ...string[]], port: number, cpu: number): Promise<ChildProcess> {
  const child = spawn("taskset", ["-c", `${cpu}`, ...command], { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)));
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4000)));
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`${command[0]} ended with ${child.exitCode}:\n${said}`);
    if (await answers(port)) return child;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${command.join(" ")} did not listen on port ${port} within 10 s:\n${said}`);
}

function end(child: ChildProcess): Promise<void> {
  children.delete(child);
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => (socket.destroy(), resolve(true)));
    socket.on("error", () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
