/** What a program costs: CPU of all its threads, memory, and what a load generator saw. */
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";

/** CPU nanoseconds that the processes' threads have run so far, from /proc/PID/task/TID/schedstat (field 1). */
export function cpuNanoseconds(pids: readonly number[]): number {
  let total = 0;
  for (const pid of pids) {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0]);
    }
  }
  return total;
}

/** The pid and its descendants: nginx works in a child, envoy in threads. */
export function processTree(root: number): number[] {
  const found = [root];
  for (let at = 0; at < found.length; at++) {
    const pid = found[at];
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").trim();
      if (children !== "") found.push(...children.split(" ").map(Number));
    }
  }
  return found;
}

/** Resident memory in MiB, proportional where pages are shared, so that several processes add up. */
export function memoryMiB(pids: readonly number[]): { readonly rss: number; readonly pss: number } {
  let rss = 0;
  let pss = 0;
  for (const pid of pids) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
    rss += Number(/^Rss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    pss += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
  }
  return { rss: rss / 1024, pss: pss / 1024 };
}

export interface LoadResult {
  readonly requests: number;
  /** Answers that were not 2xx or 3xx, and socket errors. A figure with errors is no figure. */
  readonly errors: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Load {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly cpu: number;
}

/** Runs wrk, bounded in time by its own -d. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const headers = ["-H", "accept: */*", "-H", "user-agent: bench", "-H", "x-a: 1", "-H", "x-b: two", "-H", "accept-language: en"];
  const args = ["-c", `${load.cpu}`, "wrk", "-t1", `-c${load.connections}`, `-d${load.seconds}s`, "--latency", ...headers, load.url];
  return readWrk(await output("taskset", args));
}

/** What wrk printed. */
export function readWrk(text: string): LoadResult {
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  if (!Number.isFinite(requests)) throw new Error(`wrk printed no result:\n${text}`);
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const socketErrors = sockets === null ? 0 : sockets.slice(1).reduce((sum, count) => sum + Number(count), 0);
  return {
    requests,
    errors: socketErrors + Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0),
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
    p50Ms: milliseconds(/50%\s+([\d.]+)(us|ms|s)/.exec(text)),
    p99Ms: milliseconds(/99%\s+([\d.]+)(us|ms|s)/.exec(text)),
  };
}

function milliseconds(match: RegExpExecArray | null): number {
  const unit = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? ""];
  return unit === undefined ? Number.NaN : Number(match?.[1]) * unit;
}

function output(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(text) : reject(new Error(`${program} ended with ${code}:\n${text}`))));
  });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
