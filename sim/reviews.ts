/**
 * The stage of several scenarios: reviews has two versions, each with its proxy, and a client's proxy asks them; all traffic
 * goes to v1. Callers keep one connection each and ask again and again. What a scenario may spoil to see that its checks see
 * it is a `Mischief`.
 */
import assert from "node:assert/strict";
import type { Host } from "#host/host.ts";
import type { Pod } from "#model/core.ts";
import { serveText, TextClient } from "./application.ts";
import { startCluster, type SimObject, type SimulatedCluster } from "./cluster.ts";
import { podNetns } from "./node-runtime.ts";

const PORT = 9080;
const SERVICE_IP = "10.96.0.80";

const metadata = (name: string, labels?: Record<string, string>) => ({ name, namespace: "default", ...(labels === undefined ? {} : { labels }) });

function deployment(app: string, version: string): SimObject {
  const labels = { app, version };
  return {
    kind: "Deployment",
    object: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: metadata(`${app}-${version}`),
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: app, image: `example.org/${app}:${version}` }] } },
      },
    },
  };
}

const routeTo = (subset: string) => ({ hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews", subset } }] }] });

const objects: readonly SimObject[] = [
  {
    kind: "Service",
    object: {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadata("reviews"),
      spec: { clusterIP: SERVICE_IP, selector: { app: "reviews" }, ports: [{ name: "http", port: PORT }] },
    },
  },
  {
    kind: "DestinationRule",
    object: {
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: metadata("reviews"),
      spec: { host: "reviews", subsets: ["v1", "v2"].map((name) => ({ name, labels: { version: name } })) },
    },
  },
  { kind: "VirtualService", object: { apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata: metadata("reviews"), spec: routeTo("v1") } },
  deployment("client", "v1"),
  deployment("reviews", "v1"),
  deployment("reviews", "v2"),
];

export interface Mischief {
  /** What an application answers instead of its version. */
  readonly answer?: (version: string) => string;
  readonly podHost?: (host: Host) => Host;
  /** Called when the route has changed. */
  readonly onChange?: () => void;
}

/** One keep-alive connection that asks until told to stop. */
export class Caller {
  readonly seen: string[] = [];
  readonly #name: string;
  readonly #client: TextClient;
  #stopped = false;

  constructor(name: string, client: TextClient) {
    this.#name = name;
    this.#client = client;
  }

  async run({ world }: SimulatedCluster): Promise<void> {
    while (!this.#stopped) {
      const { status, body } = await this.#client.get("/reviews/0", { host: `reviews:${PORT}` });
      const answer = `${status} ${body}`;
      this.seen.push(answer);
      world.record(this.#name, answer);
      if (status === 0) return;
      await world.clock.sleep(5);
    }
    this.#client.close();
  }

  stop(): void {
    this.#stopped = true;
  }
}

export interface Reviews {
  readonly cluster: SimulatedCluster;
  readonly callers: readonly Caller[];
  /** Sends all traffic there, and waits until every caller sees it, or has ended. */
  routeTo(version: string): Promise<void>;
  /** Ends callers and cluster; what the programs complained of. */
  end(): Promise<readonly string[]>;
}

export async function startReviews(seed: number, mischief: Mischief = {}): Promise<Reviews> {
  const cluster = await startCluster({
    seed,
    nodes: 2,
    ...(mischief.podHost === undefined ? {} : { podHost: mischief.podHost }),
    application: async (host, pod, netns) => {
      const { app, version = "" } = pod.metadata.labels ?? {};
      if (app === "reviews") await serveText(host.net, { netns, port: PORT, answer: () => mischief.answer?.(version) ?? version });
    },
  });
  const { world, api } = cluster;
  await world.drive(api.patch("Namespace", { name: "default" }, { metadata: { labels: { "istio-injection": "enabled" } } }));
  await cluster.create(objects);
  const connect = await clientOf(cluster);
  const callers = Array.from({ length: 8 }, (_, i) => new Caller(`caller-${i}`, connect()));
  const runs = callers.map((caller) => caller.run(cluster));
  return {
    cluster,
    callers,
    async routeTo(version) {
      world.record("somebody", `sends reviews to ${version}`);
      await world.drive(api.patch("VirtualService", { name: "reviews", namespace: "default" }, { spec: routeTo(version) }));
      mischief.onChange?.();
      const hasSeen = ({ seen }: Caller) => seen.includes(`200 ${version}`) || seen.at(-1)?.startsWith("0 ") === true;
      await cluster.until(`every caller sees ${version}`, () => callers.every(hasSeen));
    },
    async end() {
      for (const caller of callers) caller.stop();
      await world.drive(Promise.all(runs));
      const problems = [...cluster.problems];
      await cluster.stop();
      return problems;
    },
  };
}

/** Makes connections from the client's pod, once the service answers there. */
async function clientOf(cluster: SimulatedCluster): Promise<() => TextClient> {
  const { world, api } = cluster;
  const readyPods = async (): Promise<readonly Pod[]> =>
    (await api.list("Pod", { namespace: "default" })).items.filter((pod) =>
      pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True"),
    );
  await cluster.until("three pods are Ready", async () => (await readyPods()).length === 3);
  const client = (await world.drive(readyPods())).find((pod) => pod.metadata.labels?.["app"] === "client");
  assert.ok(client);
  const { net } = cluster.hostOf(client);
  const connect = (): TextClient => new TextClient(net, { netns: podNetns(client), ip: SERVICE_IP, port: PORT });
  const ask = async (): Promise<number> => {
    const probe = connect();
    const { status } = await probe.get("/", { host: `reviews:${PORT}` });
    probe.close();
    return status;
  };
  await cluster.until("reviews answers", async () => (await ask()) === 200);
  return connect;
}
