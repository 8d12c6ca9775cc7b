/**
 * Weft's proxy: it takes Envoy's bootstrap and Envoy's messages, from the bootstrap itself and over delta ADS, and serves
 * as Envoy would, or refuses by name what it does not support.
 *
 * A connection comes to a listener (listen/), which finds its filter chain; an HTTP connection becomes exchanges (http/),
 * each of which asks `decide` for a route and a verdict and `upstream/` for a connection. Configuration is compiled when
 * it comes (config/, and the compilers beside what they compile) and swapped in below open connections. admin/ shows it.
 *
 * All of the machine comes as `Host`, so the same proxy runs in a simulation. `startProxy` is the door.
 */
import type { Bootstrap } from "#wire/envoy/gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import type { Host } from "#host/host.ts";
import type { StreamAddress } from "#host/net.ts";
import { ConfigProblem } from "#decide/config-problem.ts";
import { type Log, silentLog } from "#run/log.ts";
import { AccessLogFiles } from "./access-logs.ts";
import { serveAdmin } from "./admin/admin.ts";
import { durationMs } from "./config/durations.ts";
import { ConfigStore } from "./config/config-store.ts";
import { readBootstrap } from "./config/read-bootstrap.ts";
import { RequestIds } from "./http/request-ids.ts";
import type { ProxyMachine } from "./machine.ts";
import { IstioMetrics } from "./stats/istio-metrics.ts";
import { Stats } from "./stats/stats.ts";
import { TimerWheel } from "./timer-wheel.ts";
import { Secrets } from "./tls/secrets.ts";
import { TurnClock } from "./turn-clock.ts";
import type { ClusterRuntime } from "./upstream/cluster.ts";
import { Names } from "./upstream/names.ts";
import { DeltaClient } from "./xds/delta-client.ts";
import { adsCluster, aggregatedTypes } from "./xds/subscriptions.ts";

export type ProxyHost = Pick<Host, "clock" | "random" | "net" | "files" | "http" | "rpc">;

export interface ProxyOptions {
  /** Envoy's bootstrap, as JSON or YAML text. */
  readonly bootstrap: string;
  readonly log?: Log;
  /** Called by POST /quitquitquit. */
  readonly quit?: () => void;
}

export interface Proxy {
  /** Bound address of a listener by its name (its real port when it was configured with 0). */
  listenerAddress(name: string): StreamAddress | undefined;
  readonly adminAddress: StreamAddress | undefined;
  /** All that the configuration asks for has come; as /ready says. */
  readonly ready: boolean;
  /** Goes on serving, but is not ready, and answers tell clients to connect anew, elsewhere. */
  leave(): void;
  /** Stops listening, lets exchanges finish (at most `drainMs`), closes. */
  stop(): Promise<void>;
}

const ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/** Long enough for the requests of a Kubernetes rollout, well below its 30 s grace period. */
const DRAIN_MS = 5_000;
const SWEEP_MS = 5_000;
/** As Envoy's initial_fetch_timeout where the bootstrap says none: a proxy does not wait for ever for a resource that nobody has. */
const FETCH_TIMEOUT_MS = 15_000;

export async function startProxy(host: ProxyHost, options: ProxyOptions): Promise<Proxy> {
  const bootstrap = readBootstrap(options.bootstrap);
  const proxy = new RunningProxy(host, bootstrap, options);
  await proxy.start();
  return proxy;
}

class RunningProxy implements Proxy {
  readonly #host: ProxyHost;
  readonly #bootstrap: Bootstrap;
  readonly #options: ProxyOptions;
  readonly #log: Log;
  readonly #machine: ProxyMachine;
  readonly #clusters = new Map<string, ClusterRuntime>();
  readonly #store: ConfigStore;
  readonly #names: Names;
  readonly #secretNames = new Set<string>();
  readonly #startedMs: number;
  readonly #stops: (() => void | Promise<void>)[] = [];
  #client: DeltaClient | undefined;
  #ready = false;
  #fetchExpired = false;
  adminAddress: StreamAddress | undefined = undefined;

  constructor(host: ProxyHost, bootstrap: Bootstrap, options: ProxyOptions) {
    this.#host = host;
    this.#bootstrap = bootstrap;
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#startedMs = host.clock.now();
    const { clock, random, net, files } = host;
    const stats = new Stats();
    const { node } = bootstrap;
    const inMesh = node?.metadata?.["NAMESPACE"] !== undefined;
    let dateSecond = 0;
    let dateText = "";
    const turn = new TurnClock(clock);
    const machine: ProxyMachine = {
      clock,
      turn,
      random,
      net,
      files,
      wheel: new TimerWheel(clock, turn),
      stats,
      secrets: new Secrets(files),
      clusters: this.#clusters,
      accessLogs: new AccessLogFiles(files, clock),
      requestIds: new RequestIds(random),
      traffic: inMesh ? new IstioMetrics(stats, node) : undefined,
      draining: false,
      refused: ({ details, downstream }) =>
        this.#log.info("refused a connection", { from: downstream.directRemoteText, to: downstream.local, details, peer: downstream.peer?.uris[0] }),
      httpDate: () => {
        const second = Math.floor(clock.now() / 1000);
        if (second !== dateSecond) {
          dateSecond = second;
          dateText = new Date(second * 1000).toUTCString();
        }
        return dateText;
      },
    };
    this.#machine = machine;
    this.#names = new Names(host);
    const ads = adsCluster(bootstrap);
    this.#store = new ConfigStore({
      machine,
      clusters: this.#clusters,
      names: this.#names,
      bind: bootstrap.clusterManager?.upstreamBindConfig,
      grpcClusters: new Set(bootstrap.staticResources?.clusters.map(({ name }) => name).filter((name) => name === ads || name === "sds-grpc") ?? []),
      isSidecar: node?.id.startsWith("sidecar~") ?? false,
    });
  }

  get ready(): boolean {
    return this.#ready;
  }

  listenerAddress(name: string): StreamAddress | undefined {
    return this.#store.runtimes.get(name)?.address;
  }

  async start(): Promise<void> {
    const { clock, http } = this.#host;
    const { staticResources, admin } = this.#bootstrap;
    this.#machine.secrets.request = (name) => this.#secretNames.add(name);
    try {
      await this.#startStatic(staticResources);
      const address = admin?.address?.address;
      if (address?.case === "socketAddress" || address?.case === "pipe") {
        const server = await serveAdmin({
          http,
          address:
            address.case === "pipe"
              ? { path: address.value.path }
              : { ip: address.value.address, port: address.value.portSpecifier.case === "portValue" ? address.value.portSpecifier.value : 0 },
          machine: this.#machine,
          bootstrap: this.#bootstrap,
          store: this.#store,
          secrets: this.#machine.secrets,
          startedMs: this.#startedMs,
          nodeId: this.#bootstrap.node?.id ?? "",
          isReady: () => this.#ready,
          quit: () => this.#options.quit?.(),
        });
        this.adminAddress = server.address;
        this.#stops.push(() => server.close());
      }
      const sweep = clock.every(SWEEP_MS, () => this.#store.sweep()).unref();
      this.#stops.push(() => sweep.cancel());
      this.#startDynamic();
    } catch (error) {
      await this.#stopParts();
      throw error;
    }
  }

  async #startStatic(resources: Bootstrap["staticResources"]): Promise<void> {
    const located = async (what: string, work: Promise<void>): Promise<void> => {
      try {
        await work;
      } catch (error) {
        if (error instanceof ConfigProblem) throw new ConfigProblem("", `${what}: ${error.message}`);
        throw error;
      }
    };
    for (const secret of resources?.secrets ?? []) await located(`secret "${secret.name}"`, this.#store.setSecret(secret));
    for (const cluster of resources?.clusters ?? []) await located(`cluster "${cluster.name}"`, this.#store.setCluster(cluster, "", true));
    for (const listener of resources?.listeners ?? []) await located(`listener "${listener.name}"`, this.#store.setListener(listener, "", true));
  }

  #startDynamic(): void {
    const name = adsCluster(this.#bootstrap);
    if (name === undefined) {
      this.#ready = true;
      return;
    }
    const endpoint = [...(this.#clusters.get(name)?.endpoints ?? [])][0];
    if (endpoint === undefined) throw new ConfigProblem("dynamic_resources.ads_config", `there is no static cluster "${name}" with an endpoint`);
    const { clock, random, rpc } = this.#host;
    const control = this.#machine.stats.plain("control_plane").gauge("connected_state");
    const update = {
      accepted: this.#machine.stats.plain("listener_manager.lds").counter("update_success"),
      rejected: this.#machine.stats.plain("listener_manager.lds").counter("update_rejected"),
    };
    const client = new DeltaClient({
      rpc,
      clock,
      random,
      log: this.#log,
      address: endpoint.settings.address,
      method: ADS,
      node: this.#bootstrap.node,
      types: aggregatedTypes(this.#store, this.#secretNames),
      onUpdate: (outcome) => {
        update[outcome].value++;
        this.#look();
      },
      onConnected: (connected) => void (control.value = connected ? 1 : 0),
    });
    this.#client = client;
    this.#stops.push(() => client.stop());
    const timeoutMs = durationMs(this.#bootstrap.dynamicResources?.ldsConfig?.initialFetchTimeout) ?? FETCH_TIMEOUT_MS;
    // Zero: it does wait for ever.
    if (timeoutMs > 0) {
      const timeout = clock.after(timeoutMs, () => {
        this.#fetchExpired = true;
        this.#look();
      });
      this.#stops.push(() => timeout.cancel());
      timeout.unref();
    }
    client.start();
  }

  #look(): void {
    const { secrets } = this.#machine;
    if (this.#ready || this.#machine.draining || this.#client === undefined) return;
    const secretsHere = [...this.#secretNames].every((name) => secrets.has(name));
    if ((this.#client.complete && secretsHere) || (this.#fetchExpired && this.#store.runtimes.size > 0)) {
      this.#ready = true;
      this.#log.info("ready", { listeners: this.#store.runtimes.size, clusters: this.#clusters.size });
    }
  }

  leave(): void {
    this.#machine.draining = true;
    this.#ready = false;
  }

  async stop(): Promise<void> {
    const { clock } = this.#host;
    this.leave();
    const listeners = this.#store.allListeners();
    await Promise.all(listeners.map((listener) => listener.stopListening()));
    for (const listener of listeners) listener.drain();
    const until = clock.monotonic() + DRAIN_MS;
    while (listeners.some((listener) => listener.open.size > 0) && clock.monotonic() < until) await clock.sleep(50);
    for (const listener of listeners) listener.close();
    await this.#stopParts();
  }

  async #stopParts(): Promise<void> {
    for (const listener of this.#store.allListeners()) await listener.stopListening().catch(() => undefined);
    for (const stop of this.#stops.splice(0).reverse()) await stop();
    for (const cluster of this.#clusters.values()) cluster.remove();
    this.#names.stop();
    this.#machine.wheel.stop();
    await this.#machine.accessLogs.flush();
  }
}
