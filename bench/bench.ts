/**
 * `npm run bench`: Weft's proxy beside nginx, HAProxy and Envoy, in one run and interleaved, because figures of
 * different days cannot be compared. The proxy has core 0 for itself, load and backend share core 1; what is compared
 * is the proxy's CPU time per request (all its threads), which keeps its meaning when the load cannot fill the core.
 *
 * All proxies of a scenario run from its start to its end and are warmed up once; only one has work at a time. Takes
 * three to four minutes with the defaults. bench/README.md says what is compared, and what helped.
 *
 * Options: --rounds N (6), --seconds N (2) a measurement, --warm N (4) seconds at least, --connections N (64),
 * --only NAME[,NAME], --scenario plain|mtls, --json FILE. Status 1: a proxy answered with errors, or nothing ran.
 */
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findProgram } from "#tools/peers.ts";
import { type CertificateFiles, makeCertificates } from "./certificates.ts";
import { type Contestant, contestants, nginxBackend } from "./contestants.ts";
import type { Role } from "./hop.ts";
import { cpuNanoseconds, memoryMiB, processTree, runLoad } from "./measure.ts";
import { end, freePort, killAll, start } from "./programs.ts";
import { type Sample, table, type Target, verdicts } from "./report.ts";

interface Scenario {
  readonly id: string;
  readonly name: string;
  readonly hops: readonly Role[];
  readonly targets: readonly Target[];
}

const SCENARIOS: readonly Scenario[] = [
  {
    id: "plain",
    name: "HTTP/1.1 plain, one hop",
    hops: ["plain"],
    targets: [
      { peer: "nginx", atMost: 1.25 },
      { peer: "envoy", atMost: 0.5 },
    ],
  },
  { id: "mtls", name: "HTTP/1.1, two hops with mTLS between (CPU and memory of both together)", hops: ["client", "server"], targets: [] },
];

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "6" },
    seconds: { type: "string", default: "2" },
    warm: { type: "string", default: "4" },
    connections: { type: "string", default: "64" },
    only: { type: "string" },
    scenario: { type: "string" },
    json: { type: "string" },
  },
});
const PROXY_CPU = 0;
const LOAD_CPU = cpus().length > 1 ? 1 : 0;
/** Weft costs a fifth more until its just-in-time compiler has settled (measured 2026-11: 15.3 us, then 12.5). */
const WARM_ANSWERS = 400_000;
const WARM_AT_MOST_SECONDS = 12;
/** A busy machine's figures say more of its other programs than of the proxies. */
const QUIET_LOAD = 1;
const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
process.on("exit", () => {
  killAll();
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

interface Common {
  readonly backendPort: number;
  readonly certificates: CertificateFiles;
}

process.exit(await main());

async function main(): Promise<number> {
  for (const [program, install] of Object.entries({ wrk: "apt-get install wrk", nginx: "apt-get install nginx-light", openssl: "apt-get install openssl" })) {
    if (findProgram(program) !== undefined) continue;
    console.error(`bench: ${program} is not on this machine, and nothing can be measured without it (nginx is also the backend). Run: sudo ${install}`);
    return 1;
  }
  const only = options.only?.split(",");
  const wanted = (await contestants(root)).filter(({ name }) => only === undefined || only.includes(name));
  const present = wanted.filter(({ missing }) => missing === undefined);
  const skipped = wanted.flatMap(({ name, missing }) =>
    missing === undefined ? [] : [`SKIPPED ${name}: not on this machine; to compare with it, run: ${missing}`],
  );
  for (const line of skipped) console.log(line);
  if (LOAD_CPU === PROXY_CPU) console.log("NOTE: one core only: load and proxy disturb each other");
  const load = loadavg()[0] ?? 0;
  if (load > QUIET_LOAD) console.log(`NOTE: the machine is busy (load ${load.toFixed(1)}): ratios of one round can be compared, absolute figures cannot`);
  const common = { backendPort: await freePort(), certificates: makeCertificates(folder) };
  await start(nginxBackend(folder, common.backendPort), common.backendPort, LOAD_CPU);
  const report: object[] = [];
  let errors = 0;
  const scenarios = SCENARIOS.filter(({ id }) => options.scenario === undefined || options.scenario === id);
  for (const scenario of scenarios) {
    console.log(`\n${scenario.name}: ${options.connections} connections, ${options.rounds} rounds of ${options.seconds} s, medians`);
    const samples = await compare(scenario, present, common);
    const said = verdicts(samples, scenario.targets);
    console.log([...table(samples), "", ...said].join("\n"));
    errors += [...samples.values()].flat().reduce((sum, sample) => sum + sample.errors, 0);
    report.push({ scenario: scenario.id, verdicts: said, samples: Object.fromEntries(samples) });
  }
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  for (const line of skipped) console.log(line);
  if (errors > 0) console.error(`bench: ${errors} requests failed: these figures are none`);
  return errors > 0 || present.length === 0 || scenarios.length === 0 ? 1 : 0;
}

interface Running {
  readonly name: string;
  readonly port: number;
  readonly processes: readonly ChildProcess[];
  readonly pids: readonly number[];
}

async function compare(scenario: Scenario, present: readonly Contestant[], common: Common): Promise<Map<string, Sample[]>> {
  const running: Running[] = [];
  for (const contestant of present) running.push(await startHops(contestant, scenario, common));
  // Caches, pools and just-in-time compilers are filled before anything counts.
  for (const one of running) await warmUp(one);
  const samples = new Map<string, Sample[]>(running.map(({ name }) => [name, []]));
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const one of running) samples.get(one.name)?.push(await measure(one));
  }
  for (const { processes } of running) for (const child of processes) await end(child);
  return samples;
}

/** By answers, because a busy machine gives few of them in a second. */
async function warmUp(one: Running): Promise<void> {
  let answers = 0;
  for (let seconds = 0; seconds < Number(options.warm) || (answers < WARM_ANSWERS && seconds < WARM_AT_MOST_SECONDS); seconds += 2) {
    answers += (await loadOn(one, 2)).requests;
  }
}

/** From the backend outwards, so that each finds the next one listening. */
async function startHops(contestant: Contestant, { hops }: Scenario, { backendPort, certificates }: Common): Promise<Running> {
  const processes: ChildProcess[] = [];
  let upstreamPort = backendPort;
  for (const role of hops.toReversed()) {
    const port = await freePort();
    processes.push(await start(contestant.command({ role, port, upstreamPort, certificates, folder }), port, PROXY_CPU));
    upstreamPort = port;
  }
  return { name: contestant.name, port: upstreamPort, processes, pids: processes.flatMap(({ pid }) => (pid === undefined ? [] : processTree(pid))) };
}

function loadOn({ port }: Running, seconds: number): ReturnType<typeof runLoad> {
  return runLoad({ url: `http://127.0.0.1:${port}/bench`, connections: Number(options.connections), seconds, cpu: LOAD_CPU });
}

async function measure(one: Running): Promise<Sample> {
  const before = cpuNanoseconds(one.pids);
  const result = await loadOn(one, Number(options.seconds));
  const cpu = cpuNanoseconds(one.pids) - before;
  const memory = memoryMiB(one.pids);
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
