/**
 * A listener at work. An accepted connection: where did it mean to go; what does it say first (inspectors); which chain
 * takes it; TLS; network RBAC; then its terminal filter. A new version of the configuration is swapped in below open
 * connections: they go on, and HTTP connections use the new version from their next request on.
 */
import { HostError } from "#host/host-error.ts";
import type { Connection, ConnectionHandler, Listener as HostListener, NetError, SocketAddress } from "#host/net.ts";
import { imaginedRequest } from "#decide/request-view.ts";
import { FLAG } from "#proxy/http/flags.ts";
import { HttpConnection } from "#proxy/http/http-connection.ts";
import { enforce } from "#proxy/http/rbac-filter.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import { WheelEntry } from "#proxy/timer-wheel.ts";
import { readClientHello, sniffHttp } from "./client-hello.ts";
import type { ChainRuntime, ListenerConfig } from "./compile-listener.ts";
import { connectionRecord } from "./connection-record.ts";
import { addressText, Downstream } from "./downstream.ts";
import { InspectorStats } from "./inspector-stats.ts";
import { ListenerStats } from "./listener-stats.ts";
import type { OpenConnections } from "./open-connections.ts";
import { TcpSession } from "./tcp-proxy.ts";

/** More than this before an inspector knows is not what it looks for. */
const MAX_INSPECTED_BYTES = 64 * 1024;

export class ListenerRuntime {
  readonly name: string;
  readonly #machine: ProxyMachine;
  readonly #find: (target: SocketAddress) => ListenerRuntime | undefined;
  config: ListenerConfig;
  readonly open: OpenConnections = new Set();
  #socket: HostListener | undefined;
  readonly #stats: ListenerStats;

  constructor(config: ListenerConfig, machine: ProxyMachine, find: (target: SocketAddress) => ListenerRuntime | undefined) {
    this.name = config.message.name;
    this.config = config;
    this.#machine = machine;
    this.#find = find;
    this.#stats = new ListenerStats(machine.stats.listener(config.statName), new InspectorStats(machine.stats));
  }

  /** The address it listens at; differs from the configured one when that had port 0. */
  get address(): HostListener["address"] {
    return this.#socket?.address ?? this.config.address;
  }

  async listen(): Promise<void> {
    const { config } = this;
    if (!config.binds) return;
    try {
      this.#socket = await this.#machine.net.listen(
        {
          address: config.address,
          originalDestination: config.restoresDestination,
          transparent: config.transparent,
          ...("path" in config.address ? { mode: 0o666 } : {}),
        },
        (connection) => this.#accept(connection),
      );
    } catch (error) {
      if (error instanceof HostError) throw new HostError(error.code, `listener "${this.name}"`, error.message, { cause: error });
      throw error;
    }
  }

  /** Chains that stay are handed over to the new version. */
  swap(next: ListenerConfig): void {
    const before = new Map(this.config.chains.map((chain) => [chain.key, chain]));
    const chains = next.chains.map((chain): ChainRuntime => {
      const old = before.get(chain.key);
      if (old?.terminal.kind !== "http" || chain.terminal.kind !== "http") return chain;
      before.delete(chain.key);
      old.terminal.current = chain.terminal.current;
      return { ...chain, terminal: old.terminal };
    });
    for (const old of before.values()) if (old.terminal.kind === "http") old.terminal.gone = true;
    this.config = { ...next, chains };
  }

  async stopListening(): Promise<void> {
    await this.#socket?.close();
  }

  #accept(connection: Connection): void {
    const { config } = this;
    const target = config.restoresDestination ? connection.facts.originalDestination : undefined;
    const handedTo = config.useOriginalDestination && target !== undefined ? this.#find(target) : undefined;
    (handedTo ?? this).take(new Downstream(connection, target, this.#machine.clock.monotonic()));
  }

  take(downstream: Downstream): void {
    const { inspectsTls, inspectsHttp } = this.config;
    if (inspectsTls || inspectsHttp) new Inspection(this, this.#machine, downstream, this.#stats).begin();
    else this.choose(downstream, undefined);
  }

  /** All is known that decides the chain. `first` are bytes already received. */
  choose(downstream: Downstream, first: Uint8Array | undefined): void {
    const { config } = this;
    const chain = config.chains[config.match.match(downstream)];
    if (chain === undefined) {
      this.#stats.noChain.value++;
      this.#logs(downstream);
      downstream.flags = FLAG.noRoute;
      return this.#refuse(downstream, `filter_chain_not_found: ${this.#whyNoChain(downstream)}`);
    }
    this.#opened(downstream);
    if (chain.tls === undefined) {
      const handler = this.#handler(chain, downstream);
      if (handler === undefined) return;
      downstream.connection.handle(handler);
      if (first !== undefined && first.length > 0) handler.onData(first);
      return;
    }
    this.#startTls(chain, downstream, first);
  }

  /** Plain text under STRICT ends here: whoever asked for TLS is named. */
  #whyNoChain({ destination, directRemote, remote, serverName, transportProtocol, peer }: Downstream): string {
    const { match } = this.config;
    const arrived = transportProtocol === "" ? "connection" : transportProtocol;
    const withTls = { destination, directRemote, remote, serverName, transportProtocol: "tls", applicationProtocols: [], peer };
    const wanted = transportProtocol === "raw_buffer" ? match.chains[match.match(withTls)] : undefined;
    if (wanted?.by !== undefined) return `plain text is not taken, mutual TLS is asked for by ${wanted.by}`;
    return `no filter chain of listener ${this.name} is for this ${arrived}`;
  }

  #startTls(chain: ChainRuntime, downstream: Downstream, first: Uint8Array | undefined): void {
    const { connection } = downstream;
    const context = chain.tls?.context();
    if (context === undefined) {
      this.#stats.secretsNotReady.value++;
      downstream.transportFailure = "TLS error: Secret is not supplied by SDS";
      return this.#refuse(downstream, downstream.transportFailure);
    }
    const deadline = new WheelEntry(() => {
      this.#stats.handshakeTimeout.value++;
      downstream.terminationDetails = "transport socket timeout was reached";
      connection.destroy();
    });
    if (chain.handshakeTimeoutMs > 0) this.#machine.wheel.set(deadline, chain.handshakeTimeoutMs);
    connection.handle({
      onConnect: () => {
        this.#machine.wheel.cancel(deadline);
        const { tls } = connection.facts;
        this.#stats.secured(tls);
        if (tls !== undefined) downstream.secured(tls, chain.tls?.localUri);
        const handler = this.#handler(chain, downstream);
        if (handler !== undefined) connection.handle(handler);
      },
      onData: () => undefined,
      onClose: (error) => {
        this.#machine.wheel.cancel(deadline);
        this.#stats.tlsFailed(error);
        if (error !== undefined) {
          downstream.transportFailure = `TLS error: ${error.message}`;
          // Whom it claimed to be belongs into the log.
          if (connection.facts.tls !== undefined) downstream.secured(connection.facts.tls, undefined);
          this.#machine.refused({ details: `TLS handshake failed: ${error.message}`, downstream });
        }
        downstream.end();
      },
    });
    connection.startTls(context, first);
  }

  #handler(chain: ChainRuntime, downstream: Downstream): ConnectionHandler | undefined {
    for (const { filter, stats } of chain.rbac) {
      const denial = enforce(filter, stats, downstream, noRequest);
      if (denial === undefined) continue;
      this.#refuse(downstream, denial.details);
      if (chain.terminal.kind === "tcp" && chain.terminal.settings.accessLogs.any)
        chain.terminal.settings.accessLogs.write(connectionRecord(this.#machine, downstream));
      return undefined;
    }
    const { terminal } = chain;
    if (terminal.kind === "http") return new HttpConnection(this.#machine, terminal, downstream, this.open);
    const session = new TcpSession(this.#machine, terminal.settings, downstream, this.open);
    session.start();
    return session;
  }

  /** It has a chain: from here on it counts as a connection, and has one end. */
  #opened(downstream: Downstream): void {
    const stats = this.#stats;
    stats.cxTotal.value++;
    stats.cxActive.value++;
    this.#logs(downstream);
    const logged = downstream.ended;
    downstream.ended = () => {
      stats.cxActive.value--;
      stats.cxDestroy.value++;
      stats.cxLength.record(this.#machine.clock.monotonic() - downstream.startedAtMs);
      logged?.();
    };
  }

  #logs(downstream: Downstream): void {
    const { accessLogs } = this.config;
    if (accessLogs.any) downstream.ended = () => accessLogs.write(connectionRecord(this.#machine, downstream));
  }

  #refuse(downstream: Downstream, details: string): void {
    downstream.terminationDetails ??= details;
    this.#machine.refused({ details, downstream });
    downstream.connection.handle(ignoring);
    downstream.connection.destroy();
    downstream.end();
  }

  /** HTTP connections end after what is under way; `close` ends all. */
  drain(): void {
    for (const connection of [...this.open]) connection.drain();
  }

  close(): void {
    for (const connection of [...this.open]) connection.close();
  }

  text(): string {
    const { address } = this;
    return `${this.name}::${"path" in address ? address.path : (addressText(address) ?? "")}`;
  }
}

const ignoring: ConnectionHandler = { onData: () => undefined, onClose: () => undefined };
const noRequest = imaginedRequest({ method: "", path: "", authority: "" });

/** Collects a connection's first bytes until the inspectors know. */
class Inspection implements ConnectionHandler {
  readonly #listener: ListenerRuntime;
  readonly #machine: ProxyMachine;
  readonly #downstream: Downstream;
  readonly #deadline: WheelEntry;
  readonly #stats: ListenerStats;
  #bytes: Uint8Array = new Uint8Array(0);
  #needsTls: boolean;
  #needsHttp: boolean;
  #over = false;

  constructor(listener: ListenerRuntime, machine: ProxyMachine, downstream: Downstream, stats: ListenerStats) {
    this.#stats = stats;
    this.#listener = listener;
    this.#machine = machine;
    this.#downstream = downstream;
    this.#needsTls = listener.config.inspectsTls;
    this.#needsHttp = listener.config.inspectsHttp;
    this.#deadline = new WheelEntry(() => this.#expired());
  }

  begin(): void {
    const { inspectTimeoutMs } = this.#listener.config;
    if (inspectTimeoutMs > 0) this.#machine.wheel.set(this.#deadline, inspectTimeoutMs);
    this.#stats.preCxActive.value++;
    this.#downstream.connection.handle(this);
  }

  onData(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#bytes = this.#bytes.length === 0 ? bytes.slice() : Buffer.concat([this.#bytes, bytes]);
    if (this.#needsTls) {
      const hello = readClientHello(this.#bytes);
      if (hello === "more" && this.#bytes.length < MAX_INSPECTED_BYTES) return;
      this.#needsTls = false;
      if (typeof hello === "object") {
        this.#needsHttp = false;
        this.#downstream.transportProtocol = "tls";
        this.#downstream.serverName = hello.serverName;
        this.#downstream.applicationProtocols = hello.alpn;
        this.#stats.inspectors.sawTls(hello);
      } else {
        this.#stats.inspectors.sawTls(undefined);
        this.#downstream.transportProtocol = "raw_buffer";
      }
    }
    if (this.#needsHttp) {
      const protocol = sniffHttp(this.#bytes);
      if (protocol === undefined) return;
      this.#stats.inspectors.sawHttp(protocol);
      if (protocol !== "") this.#downstream.applicationProtocols = [protocol];
    }
    this.#end();
  }

  #end(): void {
    if (!this.#stop()) return;
    if (this.#downstream.transportProtocol === "") this.#downstream.transportProtocol = "raw_buffer";
    this.#listener.choose(this.#downstream, this.#bytes);
  }

  /** False when it has stopped before. */
  #stop(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#stats.preCxActive.value--;
    this.#machine.wheel.cancel(this.#deadline);
    return true;
  }

  #expired(): void {
    this.#stats.preCxTimeout.value++;
    // A server that speaks first: the client waits for us.
    if (this.#listener.config.continueOnTimeout) this.#end();
    else if (this.#stop()) this.#downstream.connection.destroy();
  }

  onEnd(): void {
    if (!this.#stop()) return;
    this.#stats.inspectorClosed.value++;
    this.#downstream.connection.destroy();
  }

  onClose(_error?: NetError): void {
    if (this.#stop()) this.#stats.inspectorClosed.value++;
  }
}
