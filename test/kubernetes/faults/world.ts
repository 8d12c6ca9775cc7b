/**
 * Who talks to whom while things die: on each node, in the mesh and outside it, a pod that is guarded by a policy, one that may ask
 * it and keeps its connections, and one that may not and tries all the time. Before the policies are there everybody
 * gets through: so the tries would tell.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { provideImages } from "#tools/kubernetes/demo-world.ts";
import { progress } from "#tools/kubernetes/progress.ts";
import { eventually } from "../on-kubernetes.ts";
import { broken, isServed } from "./judge.ts";
import { hostOf, IMAGE, namespaces, NAMESPACES, PLAIN, podsAndServices, policies, ROLES, service } from "./manifests.ts";
import { lastSaid, saidSince, type Attempts, type Said } from "./said.ts";

/** The slowest way back is a node's, on a machine with two cores. */
const PATIENCE_MS = 240_000;
/** Longer than a busy machine keeps anybody waiting, shorter than any reconnection would hide. */
const QUIET_MS = 10_000;
/** Some lines of everybody. */
const STILL_MS = 4000;

/** A client that was cut off may wait so long before it tries again, and a busy machine doubles it. */
const NEWS_MS = 60_000;
/** Asking costs more than answering. */
const ASK_MS = 3000;

/** Before a fault. */
export interface Mark {
  readonly at: Date;
  readonly said: ReadonlyMap<string, Said>;
}

export class FaultWorld {
  readonly cluster: KubernetesCluster;
  readonly nodes: readonly string[];
  #news = 0;

  private constructor(cluster: KubernetesCluster, nodes: readonly string[]) {
    this.cluster = cluster;
    this.nodes = nodes;
  }

  static async start(cluster: KubernetesCluster): Promise<FaultWorld> {
    assert.ok(cluster.nodes, "nodes can be reached");
    await provideImages(cluster, [`image: ${IMAGE}`]);
    const world = new FaultWorld(cluster, cluster.nodes.names);
    progress("starting pods that ask, are guarded, and intrude");
    await world.apply(namespaces());
    await world.apply(podsAndServices(world.nodes));
    await world.#ready();
    progress("without policies everybody gets through");
    await world.#until("everybody gets through", (said) => isServed(said) && said.every(({ attempts }) => Object.values(attempts).every(getsThrough)));
    await world.apply(policies());
    progress("with policies nobody does who may not");
    for (let before = -1, now = await world.#leaked(); now !== before; before = now, now = await world.#leaked()) await sleep(STILL_MS);
    return world;
  }

  async apply(items: readonly object[]): Promise<void> {
    await this.cluster.apply(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  }

  async mark(): Promise<Mark> {
    return { at: new Date(), said: await this.#said() };
  }

  /** After a fault: waits until all pods serve again, and answers what happened since the mark that must not. */
  async brokenSince({ at, said: before }: Mark, lost?: string): Promise<readonly string[]> {
    await this.#ready();
    await this.#until("everybody is served", isServed);
    const since = await Promise.all(NAMESPACES.map((namespace) => saidSince(this.cluster, namespace, "role", at)));
    // In the mesh a proxy takes any connection, and decides then.
    const mayNotConnect = (pod: string, host: string): boolean => pod.startsWith(`${PLAIN}/`) && host.includes(`.${PLAIN}.`);
    return broken({ before, since: new Map(since.flatMap((each) => [...each])), lost, quietMs: QUIET_MS, mayNotConnect });
  }

  /** A Service that is new is found by who may ask, on each node, in the mesh and outside it; answers who does not find it. */
  async deafToNews(): Promise<readonly string[]> {
    this.#news += 1;
    const name = `news-${this.#news}`;
    await this.apply(NAMESPACES.map((namespace) => service(name, namespace, { selector: { role: "guarded" } })));
    const heard = NAMESPACES.flatMap((namespace) =>
      this.nodes.map(async (node) => {
        const program = `fetch("http://${hostOf(name, namespace)}:8080/").then((answer) => answer.text()).then((text) => process.stdout.write(text))`;
        const ask = ["-n", namespace, "exec", `asks-${node}`, "-c", "app", "--", "node", "-e", program];
        const answer = await eventually(
          () => this.cluster.kubectl(...ask),
          ({ stdout }) => stdout === "here\n",
          NEWS_MS,
        );
        return answer.stdout === "here\n" ? [] : [`${namespace}/asks-${node} does not find ${name}: ${answer.stderr.trim().split("\n").slice(0, 8).join(" ")}`];
      }),
    );
    const deaf = (await Promise.all(heard)).flat();
    for (const namespace of NAMESPACES) await this.cluster.get("-n", namespace, "delete", "service", name);
    return deaf;
  }

  async #ready(): Promise<void> {
    for (const namespace of NAMESPACES) {
      const wait = ["kubectl", "-n", namespace, "wait", "--for=condition=Ready", "pod", "-l", "role", `--timeout=${PATIENCE_MS / 1000}s`] as const;
      const { code, stderr } = await this.cluster.run(wait, { timeoutMs: PATIENCE_MS + 5000 });
      assert.equal(code, 0, `pods of ${namespace} are Ready: ${stderr}`);
    }
  }

  async #until(what: string, holds: (said: readonly Said[]) => boolean): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; ; await sleep(ASK_MS)) {
      const said = await this.#said();
      if (said.size === this.nodes.length * NAMESPACES.length * ROLES.length && holds([...said.values()])) return;
      if (Date.now() > end) throw new Error(`it should be so by now that ${what}: ${JSON.stringify(Object.fromEntries(said), undefined, 1)}`);
    }
  }

  async #leaked(): Promise<number> {
    const all = [...(await this.#said()).values()].flatMap(({ attempts }) => Object.values(attempts));
    return all.reduce((sum, { echoed }) => sum + echoed, 0);
  }

  async #said(): Promise<ReadonlyMap<string, Said>> {
    const all = await Promise.all(NAMESPACES.map((namespace) => lastSaid(this.cluster, namespace, "role")));
    return new Map(all.flatMap((each) => [...each]));
  }
}

const getsThrough = ({ echoed }: Attempts): boolean => echoed > 0;
