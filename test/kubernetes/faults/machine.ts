/**
 * Death of what a node runs, and its return: what systemd or a person at the power button would do on real machines is done here, to
 * the peer's nodes, which are process and mount namespaces of this machine.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { openSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KubernetesCluster, NodeAccess } from "#tools/kubernetes/cluster.ts";
import { controlNetns, type Peer } from "#tools/kubernetes/peer.ts";
import { eventually } from "../on-kubernetes.ts";

/** How a program was started. */
interface Started {
  readonly command: readonly string[];
  /** NAME=VALUE. */
  readonly environment: readonly string[];
}

const NETNS = "/run/netns";

/** In the node's own process namespace: nothing else on this machine is meant. */
export async function killOn(cluster: KubernetesCluster, node: string, pattern: string): Promise<void> {
  const killed = await accessTo(cluster).run(node, "sh", "-c", `kill -9 $(pgrep -o -f ${JSON.stringify(pattern)})`);
  assert.equal(killed.code, 0, `${pattern} on ${node}: ${killed.stderr}`);
}

/** The proxy of a pod, by what only its environment says. kubelet starts it again. */
export async function killProxy(cluster: KubernetesCluster, node: string, pod: string): Promise<void> {
  const find = `for p in /proc/[0-9]*; do if grep -qsz '^POD_NAME=${pod}$' $p/environ; then kill -9 $(basename $p) && echo killed; fi; done`;
  const { stdout, stderr } = await accessTo(cluster).run(node, "sh", "-c", find);
  assert.match(stdout, /^killed/, `the proxy of ${pod} on ${node}: ${stderr}`);
}

/** Answers how to start it again. */
export async function killForAWhile(cluster: KubernetesCluster, node: string, pattern: string): Promise<() => Promise<void>> {
  const nodes = accessTo(cluster);
  const read = async (file: string): Promise<readonly string[]> => {
    const { code, stdout, stderr } = await nodes.run(node, "sh", "-c", `cat /proc/$(pgrep -o -f ${JSON.stringify(pattern)})/${file}`);
    assert.equal(code, 0, `${pattern} on ${node}: ${stderr}`);
    return listOf(stdout);
  };
  const { command, environment } = { command: await read("cmdline"), environment: await read("environ") };
  await killOn(cluster, node, pattern);
  return async () => {
    const again = ["sh", "-c", 'exec "$@" >>/var/log/started-again.log 2>&1 </dev/null', "sh", ...command];
    const { code, stderr } = await nodes.run(node, "setsid", "--fork", "env", "-i", ...environment, ...again);
    assert.equal(code, 0, `${command.join(" ")} on ${node}: ${stderr}`);
  };
}

/** The first process of a peer's node ends the node when its containerd is gone, which no init of a machine does: it is held. */
export function holdInit(cluster: KubernetesCluster, node: string): void {
  const first = Number(readFileSync(`/proc/${nodePid(peerOf(cluster), node)}/task/${nodePid(peerOf(cluster), node)}/children`, "utf8").trim());
  assert.match(readFileSync(`/proc/${first}/status`, "utf8"), /^NSpid:.*\t1$/m, `process ${first} is the first of ${node}`);
  process.kill(first, "SIGSTOP");
}

/** All its processes, its mounts, and what lives in memory: /run with it. Answers how it comes back. */
export async function killNode(cluster: KubernetesCluster, node: string): Promise<() => void> {
  const peer = peerOf(cluster);
  const pid = nodePid(peer, node);
  const started = startedAs(pid);
  const inode = statSync(`/proc/${pid}/ns/net`).ino;
  const netns = readdirSync(NETNS).find((name) => statSync(join(NETNS, name)).ino === inode);
  assert.ok(netns, `the network of ${node} has a name in ${NETNS}`);
  process.kill(pid, "SIGKILL");
  await eventually(
    () => Promise.resolve(existsProcess(pid)),
    (exists) => !exists,
  );
  return () => startAgain({ ...started, netns: join(NETNS, netns), pidFile: pidFile(peer, node), log: join(peer.home, `nodes/${node}.log`) });
}

/** Answers how it was started, and how it comes back. */
export function killApiServer(cluster: KubernetesCluster): { readonly started: Started; readonly startAgain: () => void } {
  const peer = peerOf(cluster);
  const pid = apiServerPid(cluster);
  const started = startedAs(pid);
  process.kill(pid, "SIGKILL");
  const place = { netns: controlNetns(peer), pidFile: pidFile(peer, "apiserver"), log: join(peer.home, "run/apiserver.log") };
  return { started, startAgain: () => startAgain({ ...started, ...place }) };
}

/** What the cluster's store remembers of before now is gone: who watched then must read all again. */
export async function forgetHistory(cluster: KubernetesCluster, apiServer: Started): Promise<void> {
  const store = apiServer.command.find((word) => word.startsWith("--etcd-servers="))?.split("=", 2)[1];
  assert.ok(store, "the API server's command line says where its store is");
  const ask = async (path: string, question: object): Promise<{ readonly header: { readonly revision: string } }> => {
    const { code, stdout, stderr } = await cluster.run(["curl", "-sS", "--fail-with-body", "-d", JSON.stringify(question), `${store}/v3/kv/${path}`]);
    assert.equal(code, 0, `${path}: ${stderr}${stdout}`);
    return JSON.parse(stdout) as { readonly header: { readonly revision: string } };
  };
  const { header } = await ask("range", { key: "AA==", keys_only: true });
  await ask("compaction", { revision: header.revision, physical: true });
}

export function apiServerPid(cluster: KubernetesCluster): number {
  return Number(readFileSync(pidFile(peerOf(cluster), "apiserver"), "utf8"));
}

function startAgain({ command, environment, netns, pidFile: file, log }: Started & Readonly<Record<"netns" | "pidFile" | "log", string>>): void {
  const out = openSync(log, "a");
  const child = spawn("nsenter", [`--net=${netns}`, "env", "-i", ...environment, ...command], { detached: true, stdio: ["ignore", out, out] });
  assert.ok(child.pid, `${command.join(" ")} starts`);
  child.unref();
  // The scripts end by it what runs.
  writeFileSync(file, `${child.pid}\n`);
}

function startedAs(pid: number): Started {
  const read = (file: string): readonly string[] => listOf(readFileSync(`/proc/${pid}/${file}`, "utf8"));
  return { command: read("cmdline"), environment: read("environ") };
}

function listOf(text: string): readonly string[] {
  return text.split("\0").filter((word) => word !== "");
}

function existsProcess(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

const pidFile = (peer: Peer, what: string): string => join(peer.home, `run/${what}.pid`);
const nodePid = (peer: Peer, node: string): number => Number(readFileSync(pidFile(peer, node), "utf8"));

function peerOf({ peer }: KubernetesCluster): Peer {
  if (peer === undefined) throw new Error("these faults need the nodes of this machine's Kubernetes");
  return peer;
}

function accessTo({ nodes }: KubernetesCluster): NodeAccess {
  if (nodes === undefined) throw new Error("nodes cannot be reached");
  return nodes;
}
