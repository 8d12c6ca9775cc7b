/** A TCP connection from a pod's network that stays open, to a server that says back what it hears. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MeshCluster } from "../mesh-cluster.ts";

export interface Conversation {
  /** Says the words; whether they came back in time. */
  answers(words: string, withinMs?: number): Promise<boolean>;
  stop(): void;
}

const PATIENCE_MS = 30_000;

export async function conversation(cluster: MeshCluster, place: string, ip: string, port: number): Promise<Conversation> {
  const { user, name } = cluster;
  const [program, ...args] = [...user.prefix, process.execPath, join(user.checkout, "weft"), "enter", "--name", name, place, "--"];
  const child = spawn(program ?? "", [...args, "socat", "-", `TCP:${ip}:${port}`], { env: user.env, cwd: user.checkout, stdio: ["pipe", "pipe", "ignore"] });
  let heard = "";
  child.stdout.on("data", (bytes: Buffer) => (heard += bytes.toString()));
  child.stdin.on("error", () => undefined);
  const hears = async (isEnough: () => boolean, withinMs: number): Promise<boolean> => {
    for (const end = Date.now() + withinMs; !isEnough() && Date.now() < end;) await sleep(50);
    return isEnough();
  };
  // The server speaks first.
  await hears(() => heard.includes("\n"), PATIENCE_MS);
  return {
    async answers(words, withinMs = PATIENCE_MS) {
      child.stdin.write(`${words}\n`);
      return hears(() => heard.includes(`${words}\n`), withinMs);
    },
    stop: () => void child.kill("SIGKILL"),
  };
}
