/**
 * A real Kubernetes on this machine: the scripts of ../shared/peers/kubernetes, which bring up a control plane and two nodes in
 * network namespaces. WEFT_TEST_KUBERNETES names another folder of the same scripts, and WEFT_K8S, as they read it, where
 * they keep what they built.
 *
 * Whoever brings it up leaves its process number there. So a run that was killed leaves nothing: the next takes it down first,
 * and a cluster that a person brought up is left alone.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runProgram, type ProgramResult } from "#tools/run-program.ts";
import { root } from "#tools/run-command.ts";
import { progress } from "./progress.ts";

export type Profile = "full" | "mesh";

export interface Peer {
  readonly scripts: string;
  /** $WEFT_K8S. */
  readonly home: string;
}

const UP_MS = 180_000;
const SETUP_MS = 45 * 60_000;
const DOWN_MS = 60_000;
/** That the scripts bring up. */
const NODES = 2;

/** undefined: it is not on this machine. */
export function findPeer(env: NodeJS.ProcessEnv = process.env): Peer | undefined {
  const scripts = env["WEFT_TEST_KUBERNETES"] ?? join(root, "../shared/peers/kubernetes");
  if (!existsSync(join(scripts, "up"))) return undefined;
  return { scripts, home: env["WEFT_K8S"] ?? join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "weft-kubernetes") };
}

export function runScript(
  peer: Peer,
  name: string,
  args: readonly string[] = [],
  options: { readonly env?: Record<string, string>; readonly timeoutMs?: number } = {},
): Promise<ProgramResult> {
  return runProgram([join(peer.scripts, name), ...args], { timeoutMs: options.timeoutMs ?? 60_000, env: { WEFT_K8S: peer.home, ...options.env } });
}

/** Builds what is missing: the programs of Kubernetes at first, and what suites need when they are asked for. */
export async function setUpPeer(peer: Peer, suites: Readonly<Record<string, string>> = {}): Promise<void> {
  const missing = Object.entries(suites).filter(([, file]) => !existsSync(join(peer.home, file)));
  if (existsSync(join(peer.home, "kube-all")) && missing.length === 0) return;
  progress(`building ${missing.map(([name]) => name).join(", ") || "Kubernetes"} into ${peer.home}; minutes the first time`);
  await mustRun(
    runScript(
      peer,
      "setup",
      missing.map(([name]) => name),
      { timeoutMs: SETUP_MS },
    ),
    "setup",
  );
}

/** `full`: no network at all, as the product brings its own. `mesh`: Debian's bridge plugin and kube-proxy. */
export async function bringUp(peer: Peer, profile: Profile): Promise<void> {
  if (existsSync(join(peer.home, "run"))) {
    const owner = ownerOf(peer);
    if (owner === undefined)
      throw new Error(`a cluster of ${peer.home} is up that no test brought up: use it with KUBECONFIG, or take it down with ${peer.scripts}/down`);
    if (isAlive(owner)) throw new Error(`a cluster of ${peer.home} is in use by process ${owner}: wait for it, or set WEFT_K8S to another folder`);
    progress(`taking down the cluster that process ${owner} left`);
    await takeDown(peer);
  }
  const env = profile === "full" ? { CNI: "none", KUBE_PROXY: "" } : { CNI: "bridge", KUBE_PROXY: "nftables" };
  const up = runScript(peer, "up", [], { env, timeoutMs: UP_MS });
  // At once: when this process ends before `up` does, the next one must know whose it is. The script refuses a folder that is there.
  const isOver = up.then(() => true);
  while (!existsSync(join(peer.home, "run")) && !(await Promise.race([isOver, sleep(20, false)]))) continue;
  if (existsSync(join(peer.home, "run"))) writeFileSync(ownerFile(peer), `${process.pid} ${startOf(process.pid) ?? ""}`);
  await mustRun(up, "up");
  if (profile === "full") await routePods(peer);
}

export async function takeDown(peer: Peer): Promise<void> {
  await mustRun(runScript(peer, "down", [], { timeoutMs: DOWN_MS }), "down");
}

/** Of a run that ended without doing so itself, and of this process. */
export async function takeDownLeftovers(peer: Peer): Promise<void> {
  const owner = ownerOf(peer);
  if (owner !== undefined && (!isAlive(owner) || owner.startsWith(`${process.pid} `))) await takeDown(peer);
}

/**
 * The network namespace in which the API server is. The machine itself cannot reach it, so what talks to it is started there.
 * The script `k` names it.
 */
export function controlNetns(peer: Peer): string {
  const name = /ip netns exec (\S+)/.exec(readFileSync(join(peer.scripts, "k"), "utf8"))?.[1];
  if (name === undefined) throw new Error(`${peer.scripts}/k does not say in which network namespace the control plane is ("ip netns exec NAME")`);
  return `/run/netns/${name}`;
}

/** The API server is on no node: its network routes pods' addresses to their nodes, as a cloud's would. */
async function routePods(peer: Peer): Promise<void> {
  for (const { cidr, address } of await podRanges(peer)) {
    await mustRun(runProgram(["nsenter", `--net=${controlNetns(peer)}`, "ip", "route", "replace", cidr, "via", address]), `a route to the pods of ${address}`);
  }
}

/** The controller manager gives them to nodes a moment after those are there. */
async function podRanges(peer: Peer): Promise<readonly { readonly cidr: string; readonly address: string }[]> {
  const columns = 'jsonpath={range .items[*]}{.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\\n"}{end}';
  for (const end = Date.now() + UP_MS; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    const { stdout } = await runScript(peer, "k", ["get", "nodes", "-o", columns]);
    const ranges = stdout.split("\n").flatMap((line) => {
      const [cidr = "", address = ""] = line.split(" ");
      return cidr === "" || address === "" ? [] : [{ cidr, address }];
    });
    if (ranges.length === NODES) return ranges;
    if (Date.now() > end) throw new Error(`${NODES} nodes should have a podCIDR and an address by now; there are: ${stdout.trim() || "none"}`);
  }
}

async function mustRun(running: Promise<ProgramResult>, what: string): Promise<void> {
  const { code, stdout, stderr } = await running;
  if (code !== 0) throw new Error(`${what} ended with ${code}: ${(stderr + stdout).trim().split("\n").slice(-5).join("\n")}`);
}

const ownerFile = (peer: Peer): string => join(peer.home, "run", "tested-by.pid-of");

/** Process number and start time of who brought it up, as one text. */
function ownerOf(peer: Peer): string | undefined {
  return existsSync(ownerFile(peer)) ? readFileSync(ownerFile(peer), "utf8") : undefined;
}

function isAlive(owner: string): boolean {
  const [pid = "", start] = owner.split(" ");
  return start !== undefined && startOf(Number(pid)) === start;
}

/** In ticks since the machine started: a process number alone may be another process by now. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
