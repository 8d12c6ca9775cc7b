/** Starts the benchmark's programs, each on its core, and ends all of them when this process ends by whatever way. */
import { type ChildProcess, spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import type { Command } from "./contestants.ts";

const children = new Set<ChildProcess>();
const START_TRIES = 300;
const TRY_EVERY_MS = 50;

export function killAll(): void {
  for (const child of children) child.kill("SIGKILL");
}

/** Resolves when its port answers; rejects with what it said when it ends before. */
export async function start(command: Command, port: number, cpu: number): Promise<ChildProcess> {
  const child = spawn("taskset", ["-c", `${cpu}`, ...command], { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  let said = "";
  const hear = (chunk: Buffer): void => void (said = (said + chunk.toString()).slice(-4000));
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  child.on("error", (error) => void (said = error.message));
  for (let tries = 0; tries < START_TRIES; tries++) {
    if (child.exitCode !== null) throw new Error(`${command[0]} ended with ${child.exitCode}:\n${said}`);
    if (await answers(port)) return child;
    await new Promise((resolve) => setTimeout(resolve, TRY_EVERY_MS));
  }
  throw new Error(`${command.join(" ")} did not listen on port ${port} within ${(START_TRIES * TRY_EVERY_MS) / 1000} s:\n${said}`);
}

export function end(child: ChildProcess): Promise<void> {
  children.delete(child);
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
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

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
