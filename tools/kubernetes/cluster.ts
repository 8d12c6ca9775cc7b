/**
 * The Kubernetes that tests and judges run against: the one of KUBECONFIG, else the peer of this machine (peer.ts), which is brought
 * up for it and taken down in the end. Both are used by kubectl and by the `weft` command alone; what looks at nodes themselves
 * needs the peer, and says so when there is none.
 */
import { join } from "node:path";
import { runProgram, type ProgramOptions, type ProgramResult } from "#tools/run-program.ts";
import { root } from "#tools/run-command.ts";
import { bringUp, controlNetns, findPeer, runScript, setUpPeer, takeDown, type Peer, type Profile } from "./peer.ts";
import { progress } from "./progress.ts";
import { startRelay, type Relay } from "./relay.ts";

export interface NodeAccess {
  readonly names: readonly string[];
  /** As root, in the node's namespaces. */
  run(node: string, ...command: readonly string[]): Promise<ProgramResult>;
  /** Words before a command that runs there, for programs that stay. */
  prefix(node: string): readonly [string, ...string[]];
  importImages(archive: string): Promise<void>;
}

export interface KubernetesCluster {
  readonly profile: Profile;
  readonly kubeconfig: string;
  /** undefined: only its API can be reached. */
  readonly nodes: NodeAccess | undefined;
  /** The folder of the scripts and what they built, when it is the peer. */
  readonly peer: Peer | undefined;
  /** Runs a program where the API server can be reached, with KUBECONFIG. */
  run(command: readonly [string, ...string[]], options?: ProgramOptions): Promise<ProgramResult>;
  kubectl(...args: readonly string[]): Promise<ProgramResult>;
  /** Its output; throws when it fails. */
  get(...args: readonly string[]): Promise<string>;
  apply(yaml: string): Promise<void>;
  weft(...args: readonly string[]): Promise<ProgramResult>;
  /** host:port for this process of what answers at an address of the cluster's network. */
  reach(host: string, port: number): Promise<string>;
  stop(): Promise<void>;
}

/** Why nothing runs here; undefined when something does. */
export function missingCluster(): string | undefined {
  if (process.env["KUBECONFIG"] !== undefined || findPeer() !== undefined) return undefined;
  return `no KUBECONFIG is set and there is no ${join(root, "../shared/peers/kubernetes")}: set KUBECONFIG to a cluster that may be changed, or WEFT_TEST_KUBERNETES to a folder of those scripts`;
}

/** WEFT_TEST_PROFILE tells which profile fits the cluster of KUBECONFIG (default: mesh, because it has a network). */
export function profileFits(profile: Profile): boolean {
  return process.env["KUBECONFIG"] === undefined || (process.env["WEFT_TEST_PROFILE"] ?? "mesh") === profile;
}

export async function startKubernetes(profile: Profile): Promise<KubernetesCluster> {
  const given = process.env["KUBECONFIG"];
  if (given !== undefined) return clusterOf({ profile, kubeconfig: given, peer: undefined });
  const peer = findPeer();
  if (peer === undefined) throw new Error(missingCluster());
  if (process.getuid?.() !== 0) throw new Error("the Kubernetes of this machine needs root: run this as root, or set KUBECONFIG to another cluster");
  await setUpPeer(peer);
  progress(`bringing up Kubernetes (${profile === "full" ? "without any network" : "with the bridge plugin and kube-proxy"})`);
  await bringUp(peer, profile);
  return clusterOf({ profile, kubeconfig: join(peer.home, "pki/admin.kubeconfig"), peer });
}

/** The peer that a person brought up, as it is; it is left up. */
export function runningKubernetes(profile: Profile): KubernetesCluster {
  const peer = findPeer();
  if (peer === undefined) throw new Error(missingCluster());
  return { ...clusterOf({ profile, kubeconfig: join(peer.home, "pki/admin.kubeconfig"), peer }), stop: () => Promise.resolve() };
}

function clusterOf({
  profile,
  kubeconfig,
  peer,
}: {
  readonly profile: Profile;
  readonly kubeconfig: string;
  readonly peer: Peer | undefined;
}): KubernetesCluster {
  const netns = peer === undefined ? undefined : controlNetns(peer);
  const inside = netns === undefined ? [] : ["nsenter", `--net=${netns}`];
  const relays: Relay[] = [];
  const run = (command: readonly [string, ...string[]], options: ProgramOptions = {}): Promise<ProgramResult> => {
    const [program, ...args] = [...inside, ...command];
    if (program === undefined) throw new Error("no program");
    return runProgram([program, ...args], { timeoutMs: 120_000, cwd: root, ...options, env: { KUBECONFIG: kubeconfig, ...options.env } });
  };
  const kubectl = (...args: readonly string[]): Promise<ProgramResult> => run(["kubectl", ...args]);
  return {
    profile,
    kubeconfig,
    peer,
    nodes: peer === undefined ? undefined : nodesOf(peer),
    run,
    kubectl,
    get: async (...args) => said(await kubectl(...args), `kubectl ${args.join(" ")}`),
    apply: async (yaml) => void said(await run(["kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-"], { input: yaml }), "kubectl apply"),
    weft: (...args) => run([process.execPath, join(root, "weft"), ...args], { timeoutMs: 300_000 }),
    async reach(host, port) {
      if (netns === undefined) return `${host}:${port}`;
      const relay = await startRelay(netns, { host, port });
      relays.push(relay);
      return `127.0.0.1:${relay.port}`;
    },
    async stop() {
      for (const relay of relays) relay.stop();
      if (peer === undefined) return;
      progress("taking Kubernetes down");
      await takeDown(peer);
    },
  };
}

function nodesOf(peer: Peer): NodeAccess {
  const script = join(peer.scripts, "in-node");
  const names = ["n1", "n2"];
  return {
    names,
    run: (node, ...command) => runScript(peer, "in-node", [node, ...command]),
    prefix: (node) => ["env", `WEFT_K8S=${peer.home}`, script, node],
    async importImages(archive) {
      const imports = names.map((node) =>
        runScript(peer, "in-node", [node, join(peer.home, "root/usr/bin/ctr"), "-a", "/run/containerd.sock", "-n", "k8s.io", "images", "import", archive], {
          timeoutMs: 180_000,
        }),
      );
      for (const result of await Promise.all(imports)) said(result, `import of ${archive}`);
    },
  };
}

function said({ code, stdout, stderr }: ProgramResult, what: string): string {
  if (code !== 0) throw new Error(`${what} ended with ${code}: ${(stderr.trim() || stdout.trim()).split("\n").slice(-8).join("\n")}`);
  return stdout;
}
