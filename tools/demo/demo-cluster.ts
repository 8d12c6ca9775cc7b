/** The demo's cluster: its API, its command, and its underlay. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { applyManifests, deleteManifests, loadManifests } from "#cli/up/manifests.ts";
import { openRunningCluster } from "#cli/running-cluster.ts";
import type { Terminal } from "#cli/context.ts";
import { realHost } from "#host/real/real.ts";
import type { Node, Pod } from "#model/core.ts";
import { captureOf } from "./underlay.ts";
import { addressAcross, seenOf } from "./seen.ts";
import { checkout, CLUSTER, runWeft, startWeft } from "./weft-command.ts";
import type { Capture, World } from "./world.ts";

export async function openDemoCluster(): Promise<World> {
  const host = realHost();
  const { api, record } = await openRunningCluster({ host, terminal: silentTerminal() }, CLUSTER);
  const load = (file: string): ReturnType<typeof loadManifests> => loadManifests(host.files, checkout, [join("examples/demo", file)]);
  return {
    isNetworkOurs: true,
    gateway: `http://127.0.0.1:${record.ports.http}`,
    async look() {
      const [nodes, pods] = await Promise.all([api.list<Node>("/api/v1/nodes"), api.list<Pod>("/api/v1/pods")]);
      return seenOf(nodes, pods);
    },
    async addressAcross() {
      return addressAcross(await api.list<Pod>("/api/v1/pods"));
    },
    async apply(file) {
      await applyManifests(api, (await load(file)).objects);
    },
    async remove(file) {
      await deleteManifests(api, (await load(file)).objects);
    },
    inside: (deployment, ...command) => runWeft(["enter", "--name", CLUSTER, deployment, "--", ...command]),
    weft: (command, ...args) => runWeft([command, "--name", CLUSTER, ...args]),
    typed: (command, ...args) => ["./weft", command, "--name", CLUSTER, ...args].join(" "),
  };
}

/** Of both ports of the underlay. */
export function startCapture(): Capture {
  const program = fileURLToPath(new URL("./capture.ts", import.meta.url));
  return captureOf(["node-1", "node-2"].map((port) => startWeft(["enter", "--name", CLUSTER, "--", process.execPath, program, port])));
}

function silentTerminal(): Terminal {
  return {
    out: () => undefined,
    err: () => undefined,
    inputIsTty: false,
    color: false,
    env: process.env,
    cwd: checkout,
    args: [],
    pid: process.pid,
    uid: process.getuid?.() ?? 0,
    node: process.execPath,
    sourceRoot: checkout,
    onSignal: () => ({ release: () => undefined }),
  };
}
