/** A running cluster as `weft up` holds it: the child process, its ports on this side, and the record of both. */
import type { Host } from "#host/host.ts";
import type { ImageMap, ProgramFolder, RuntimeConfig } from "#model/config.ts";
import type { FromInner } from "#model/supervisor-link.ts";
import { ClusterApi } from "#cli/cluster-api.ts";
import { CliError, type Terminal } from "#cli/context.ts";
import { readRecord, startTimeOf, writeRecord, type Ports, type SupervisorRecord } from "#cli/state.ts";
import { clusterEnv, startClusterProcess, type ClusterProcess } from "./cluster-process.ts";
import { openHostPorts, type HostPorts, type Target } from "./host-ports.ts";
import { askResolvers } from "./outside-names.ts";
import { kubeconfigText, openPki } from "./pki.ts";
import { runtimeConfig } from "./runtime-config.ts";

/** How long the inner half may take to stop its programs before everything is killed. */
const STOP_MS = 3500;
const GATEWAY_POLL_MS = 1000;
const API_PORT = 6443;
/** Ports of the Service istio-system/istio-ingressgateway. */
const GATEWAY_PORTS = { http: 80, https: 443 } as const;

export interface SessionOptions {
  readonly name: string;
  readonly stateDir: string;
  readonly nodes: number;
  readonly images: ImageMap;
  readonly programs: ProgramFolder;
  /** Weft's own, also when `programs` are others: the inner supervisor comes from there. */
  readonly ownPrograms: ProgramFolder;
  /** Told when a program ended by itself and was started again. */
  readonly onExited: (message: FromInner & { kind: "exited" }) => void;
}

export class Session {
  readonly config: RuntimeConfig;
  readonly api: ClusterApi;
  readonly kubeconfig: string;
  readonly #host: Host;
  readonly #process: ClusterProcess;
  readonly #ports: HostPorts;
  #record: SupervisorRecord;
  readonly #gateway: { address: string | undefined };
  readonly #aborted: AbortController;

  private constructor(parts: {
    readonly host: Host;
    readonly config: RuntimeConfig;
    readonly api: ClusterApi;
    readonly process: ClusterProcess;
    readonly ports: HostPorts;
    readonly record: SupervisorRecord;
    readonly gateway: { address: string | undefined };
    readonly aborted: AbortController;
  }) {
    this.config = parts.config;
    this.api = parts.api;
    this.kubeconfig = `${parts.config.stateDir}/kubeconfig`;
    this.#host = parts.host;
    this.#process = parts.process;
    this.#ports = parts.ports;
    this.#record = parts.record;
    this.#gateway = parts.gateway;
    this.#aborted = parts.aborted;
  }

  /** Makes the namespaces. Throws CliError when the cluster runs already or the machine refuses. */
  static async begin(host: Host, terminal: Terminal, options: SessionOptions, began: () => void): Promise<Session> {
    const { stateDir } = options;
    const aborted = new AbortController();
    const uidMap = await host.files.readText("/proc/self/uid_map").catch(() => "");
    const config = runtimeConfig(terminal, { ...options, uidMap });
    const { promise: networkIsUp, resolve: networkUp, reject: networkFailed } = Promise.withResolvers<void>();
    networkIsUp.catch(() => undefined);
    let process: ClusterProcess | undefined;
    const received = (message: FromInner): void => {
      switch (message.kind) {
        case "network":
          networkUp();
          break;
        case "failed":
          networkFailed(new CliError(`the cluster's network could not be made: ${message.message}`, 1));
          break;
        case "exited":
          options.onExited(message);
          break;
        case "names-query":
          void askResolvers(host, Buffer.from(message.base64, "base64")).then((answer) => {
            const base64 = answer === undefined ? {} : { base64: Buffer.from(answer).toString("base64") };
            process?.send({ kind: "names-answer", id: message.id, ...base64 });
          });
          break;
        case "init":
        case "started":
        case "stopped":
          break;
      }
    };
    const remembered = (await readRecord(host.files, stateDir))?.ports;
    process = await startClusterProcess(host, terminal, { stateDir, nameserver: config.controlAddress, programs: options.ownPrograms, received });
    void process.ended.then((status) => {
      networkFailed(new CliError(`the cluster ended while it started (${status.signal ?? `status ${status.code}`})`, 1));
      aborted.abort(new CliError(`the cluster ended (${status.signal ?? `status ${status.code}`}); its logs are in ${stateDir}/logs`, 1));
    });
    try {
      began();
      const gateway: { address: string | undefined } = { address: undefined };
      const ports = await openHostPorts(host, remembered, process.initPid, (port) => targetOf(port, config, gateway));
      const pki = await openPki(host.files, config, host.clock.now());
      process.send({ kind: "start", config, env: clusterEnv(terminal), certificates: pki.programs });
      const url = `https://127.0.0.1:${ports.ports.api}`;
      await host.files.writeAtomic(`${stateDir}/kubeconfig`, kubeconfigText(options.name, url, pki), { mode: 0o600 });
      const record = await recordOf(host, terminal, { config, initPid: process.initPid, ports: ports.ports });
      await writeRecord(host.files, stateDir, record);
      await networkIsUp;
      const api = new ClusterApi(host, { url, tls: { ca: pki.ca, ...pki.admin } });
      const session = new Session({ host, config, api, process, ports, record, gateway, aborted });
      void session.#followGateway();
      return session;
    } catch (error) {
      process.kill();
      await process.ended;
      throw error;
    }
  }

  get ports(): Ports {
    return this.#ports.ports;
  }

  /** Of the ingress gateway; undefined as long as it has none. */
  get gatewayAddress(): string | undefined {
    return this.#gateway.address;
  }

  /** Aborted when the cluster ends, with a CliError as the reason. */
  get signal(): AbortSignal {
    return this.#aborted.signal;
  }

  /** `problems`: of the files that were to be applied. */
  async markReady(problems: boolean): Promise<void> {
    this.#record = { ...this.#record, ready: true, problems };
    await writeRecord(this.#host.files, this.config.stateDir, this.#record);
  }

  /** Stops programs in order, then kills what is left. */
  async stop(): Promise<void> {
    if (!this.#aborted.signal.aborted) this.#aborted.abort(new CliError("stopped", 0));
    this.#process.send({ kind: "stop" });
    const timer = this.#host.clock.after(STOP_MS, () => this.#process.kill());
    await this.#process.ended;
    timer.cancel();
    await this.#ports.close();
  }

  kill(): void {
    this.#process.kill();
  }

  async #followGateway(): Promise<void> {
    const path = "/api/v1/namespaces/istio-system/services/istio-ingressgateway";
    while (!this.signal.aborted) {
      const service = await this.api
        .get<{ readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string }[] } } }>(path)
        .catch(() => undefined);
      if (service !== undefined) this.#gateway.address = service.status?.loadBalancer?.ingress?.[0]?.ip;
      await this.#host.clock.sleep(GATEWAY_POLL_MS, this.signal).catch(() => undefined);
    }
  }
}

function targetOf(port: keyof Ports, config: RuntimeConfig, gateway: { readonly address: string | undefined }): Target | undefined {
  if (port === "api") return { ip: config.controlAddress, port: API_PORT };
  return gateway.address === undefined ? undefined : { ip: gateway.address, port: GATEWAY_PORTS[port] };
}

async function recordOf(
  host: Host,
  terminal: Terminal,
  cluster: { readonly config: RuntimeConfig; readonly initPid: number; readonly ports: Ports },
): Promise<SupervisorRecord> {
  return {
    pid: terminal.pid,
    startTime: (await startTimeOf(host.files, terminal.pid)) ?? "",
    innerPid: cluster.initPid,
    startedAt: new Date(host.clock.now()).toISOString(),
    nodes: cluster.config.nodes.map((node) => node.name),
    rootless: cluster.config.rootless,
    ports: cluster.ports,
    ready: false,
    problems: false,
  };
}
