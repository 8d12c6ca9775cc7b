/**
 * The control plane on a Kubernetes cluster, in several replicas. All of them follow the API server and serve xDS, the CA and
 * the injector; one, the leader, writes. Kubernetes' own controllers do what those of the embedded cluster do elsewhere.
 *
 * The injector opens as soon as the mesh's root is known, so that pods wait as short as possible; 15012 opens only when the
 * World is complete: a proxy must never get a plan of half a mesh. While the API server is away everything goes on with
 * what was last heard.
 */
import type { KeyPair } from "#ca/ca.ts";
import type { ApiClient } from "#client/client.ts";
import { followWorld } from "#client/informer.ts";
import type { ObjectChange } from "#client/informer.ts";
import { LiveWorld } from "#control/live-world.ts";
import { meshDoors } from "#control/mesh-doors.ts";
import { MeshPlans } from "#control/mesh-plans.ts";
import type { Host } from "#host/host.ts";
import type { HttpServer } from "#host/http.ts";
import type { RpcServer } from "#host/rpc.ts";
import { startInjector } from "#inject/inject.ts";
import type { KubernetesConfig } from "#model/kubernetes-config.ts";
import { Health } from "#run/health.ts";
import type { Log } from "#run/log.ts";
import { whenFree } from "#run/when-free.ts";
import { ControlMetrics } from "./control-metrics.ts";
import { knownCallers } from "./known-callers.ts";
import { startLeaderWork, type LeaderWork } from "./leader-work.ts";
import { runElection } from "./lease-election.ts";
import { meshKinds } from "./mesh-kinds.ts";
import { keepMeshRoot } from "./mesh-root.ts";
import { NamedSecrets } from "./named-secrets.ts";
import { nodeTokens } from "./node-tokens.ts";
import { serveControlPages } from "./pages.ts";
import { servingCertificate } from "./serving-certificate.ts";

export interface KubernetesControlOptions {
  readonly api: ApiClient;
  readonly config: Pick<KubernetesConfig, "image" | "clusterDomain" | "systemNamespace" | "loadBalancerCIDR">;
  /** Of this start of this replica. */
  readonly identity: string;
  readonly log: Log;
  /** Where to listen; default all addresses. */
  readonly ip?: string;
}

export interface KubernetesControl {
  /** Resolves when every door is open. */
  readonly ready: Promise<void>;
  readonly isLeader: boolean;
  stop(): Promise<void>;
}

const NAME = "weft-control";
const AGENTS = "weft-agent";
/** Tokens that agents show here are for us alone: we could not use them at the API server. */
const AUDIENCE = "weft";
const PORTS = { rpc: 15012, webhook: 15017, pages: 15014 } as const;
/** Who was told of us hears within this time that we leave, and asks another replica. */
const LEAVING_MS = 2_500;

export function startKubernetesControl(host: Pick<Host, "clock" | "random" | "rpc" | "http">, options: KubernetesControlOptions): KubernetesControl {
  return new Replica(host, options);
}

class Replica implements KubernetesControl {
  readonly ready: Promise<void>;
  readonly #host: Pick<Host, "clock" | "random" | "rpc" | "http">;
  readonly #options: KubernetesControlOptions;
  readonly #health = new Health();
  readonly #metrics = new ControlMetrics();
  readonly #world = new LiveWorld();
  readonly #plans = new MeshPlans();
  readonly #secrets: NamedSecrets;
  readonly #followed: ReturnType<typeof followWorld>;
  readonly #root: ReturnType<typeof keepMeshRoot>;
  readonly #election: ReturnType<typeof runElection>;
  #leader: LeaderWork | undefined;
  /** What a deposed leader had begun. */
  #ending: Promise<void> = Promise.resolve();
  readonly #closing: (() => void | Promise<void>)[] = [];

  constructor(host: Pick<Host, "clock" | "random" | "rpc" | "http">, options: KubernetesControlOptions) {
    this.#host = host;
    this.#options = options;
    const { api, log, config, identity } = options;
    const namespace = config.systemNamespace;
    for (const part of ["pages", "root", "injector", "world", "xds"]) this.#health.set(part, "is not there yet");
    this.#secrets = new NamedSecrets(host, { api, log, world: this.#world, changed: (changes) => this.#changed(changes) });
    this.#followed = followWorld(api, meshKinds, {
      host,
      changed: (changes) => this.#changed(changes),
      onTrouble: (kind, error, isNew) => {
        this.#metrics.troubled(kind);
        // An hour without the API server is one trouble, not a thousand.
        log[isNew ? "warn" : "debug"]("cannot follow a kind and will try again", { object: kind, error });
      },
      onWell: (kind) => log.info("follows a kind again", { object: kind }),
      onServed: (kind, served) => log.info(served ? "a kind is there now" : "the API server does not have a kind; it is waited for", { object: kind }),
    });
    this.#root = keepMeshRoot(host, { api, log, namespace });
    this.#election = runElection(host, {
      api,
      log,
      lease: { namespace, name: NAME },
      identity,
      elected: () => this.#elected(),
      deposed: () => this.#deposed(),
    });
    this.ready = this.#open();
  }

  get isLeader(): boolean {
    return this.#election.isLeader;
  }

  /** Others are told first (the Lease, readiness), then the doors close: a call in between is answered as ever. */
  async stop(): Promise<void> {
    this.#health.set("leaving", "is about to end");
    await Promise.all([this.#election.stop(), this.#host.clock.sleep(LEAVING_MS)]);
    for (const close of this.#closing.toReversed()) await close();
    this.#followed.stop();
    this.#secrets.stop();
    await Promise.all([this.#root.stop(), this.#ending]);
  }

  #changed(changes: readonly ObjectChange[]): void {
    for (const { kind, before, after } of changes) {
      if (after !== undefined) this.#world.set(kind, after);
      else if (before !== undefined) this.#world.delete(kind, before);
    }
    this.#plans.apply(changes);
    this.#leader?.changed(changes);
    this.#secrets.apply(changes);
  }

  #elected(): void {
    const { api, log, config } = this.#options;
    this.#metrics.leads.set(1);
    this.#root.lead(true);
    const { loadBalancerCIDR } = config;
    const wrote = (kind: string): void => this.#metrics.wrote(kind);
    this.#leader = startLeaderWork(this.#host, { api, log, world: this.#world, root: this.#root.ready, loadBalancerCIDR, wrote });
  }

  #deposed(): void {
    this.#metrics.leads.set(0);
    this.#root.lead(false);
    const before = this.#ending;
    this.#ending = Promise.all([before, this.#leader?.stop()]).then(() => undefined);
    this.#leader = undefined;
  }

  async #open(): Promise<void> {
    const { log, ip = "0.0.0.0" } = this.#options;
    const address = { ip, port: PORTS.pages };
    const pages = await whenFree(this.#host, log, () => serveControlPages(this.#host, { address, health: this.#health, metrics: () => this.#metrics.text() }));
    this.#closing.push(() => pages.close());
    this.#health.set("pages", undefined);
    const root = await this.#root.ready;
    this.#health.set("root", undefined);
    const listeners: Pick<HttpServer, "renew">[] = [];
    const serving = await servingCertificate(this.#host, {
      root,
      dnsNames: this.#names(),
      log,
      renewed: (pair) => listeners.forEach((each) => each.renew(pair)),
    });
    this.#closing.push(() => serving.stop());
    listeners.push(await this.#openInjector(ip, serving.current));
    await this.#followed.ready;
    await this.#secrets.settled();
    this.#health.set("world", undefined);
    listeners.push(await this.#openDoors(ip, root, serving.current));
    log.info("xDS, the CA and the injector are open", { names: this.#names() });
  }

  async #openInjector(ip: string, tls: KeyPair): Promise<HttpServer> {
    const { api, log, config } = this.#options;
    const injector = await whenFree(this.#host, log, () =>
      startInjector(this.#host, {
        address: { ip, port: PORTS.webhook },
        tls,
        form: { kind: "kubernetes", image: config.image },
        // One that is a moment old may not have been heard of yet.
        namespaceOf: async (name) => this.#world.get("Namespace", name) ?? (await api.find("Namespace", name)),
        log,
        answered: (how) => this.#metrics.injected(how),
      }),
    );
    this.#closing.push(() => injector.close());
    this.#health.set("injector", undefined);
    return injector;
  }

  async #openDoors(ip: string, meshRoot: KeyPair, own: KeyPair): Promise<RpcServer> {
    const { api, log, config } = this.#options;
    const tokens = nodeTokens(this.#host, { api, log, audience: AUDIENCE, user: `system:serviceaccount:${config.systemNamespace}:${AGENTS}` });
    const methods = knownCallers(tokens.nodeOf, (nodeOf) => {
      const doors = meshDoors(this.#host, { world: this.#world, plans: this.#plans, log, meshRoot, nodeOf, rejected: () => this.#metrics.rejections.add() });
      this.#metrics.countStreams(() => doors.xds.status().length);
      this.#closing.push(() => doors.xds.stop());
      return doors.methods;
    });
    const tls = { ...own, ca: meshRoot.certificate, requireClientCertificate: false };
    const server = await whenFree(this.#host, log, () => this.#host.rpc.serve({ address: { ip, port: PORTS.rpc }, methods, tls }));
    this.#closing.push(() => server.close());
    this.#health.set("xds", undefined);
    return server;
  }

  #names(): readonly string[] {
    const { systemNamespace, clusterDomain } = this.#options.config;
    const service = `${NAME}.${systemNamespace}.svc`;
    return [service, `${service}.${clusterDomain}`, `${NAME}.${systemNamespace}`];
  }
}
