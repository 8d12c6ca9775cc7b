/**
 * A listener at work. An accepted connection: where did it mean to go; what does it say first (inspectors); which chain
 * takes it; TLS; network RBAC; then its terminal filter. A new version of the configuration is swapped in below open
 * connections: they go on, and HTTP connections use the new version from their next request on.
 */
import { HostError } from "#host/host-error.ts";
import type { Connection, ConnectionHandler, Listener as HostListener, NetError, SocketAddress } from "#host/net.ts";
import { imaginedRequest } from "#decide/request-view.ts";
import { HttpConnection } from "#proxy/http/http-connection.ts";
import { enforce } from "#proxy/http/rbac-filter.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import type { Counter, Scope } from "#proxy/stats/stats.ts";
import { WheelEntry } from "#proxy/timer-wheel.ts";
import { readClientHello, sniffHttp } from "./client-hello.ts";
import type { ChainRuntime, ListenerConfig } from "./compile-listener.ts";
import { addressText, Downstream } from "./downstream.ts";
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
  readonly #scope: Scope;
  readonly #cxTotal: Counter;
  readonly #noChain: Counter;
  readonly #sslHandshake: Counter;
  readonly #sslError: Counter;

  constructor(config: ListenerConfig, machine: ProxyMachine, find: (target: SocketAddress) => ListenerRuntime | undefined) {
    this.name = config.message.name;
    this.config = config;
    this.#machine = machine;
    this.#find = find;
    const { address } = config;
    this.#scope = machine.stats.listener("path" in address ? address.path : `${address.ip}_${address.port}`);
    this.#cxTotal = this.#scope.counter("downstream_cx_total");
    this.#noChain = this.#scope.counter("no_filter_chain_match");
    this.#sslHandshake = this.#scope.counter("ssl.handshake");
    this.#sslError = this.#scope.counter("ssl.connection_error");
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
    (handedTo ?? this).take(new Downstream(connection, target));
  }

  take(downstream: Downstream): void {
    this.#cxTotal.value++;
    const { inspectsTls, inspectsHttp } = this.config;
    if (inspectsTls || inspectsHttp) new Inspection(this, this.#machine, downstream).begin();
    else this.choose(downstream, undefined);
  }

  /** All is known that decides the chain. `first` are bytes already received. */
  choose(downstream: Downstream, first: Uint8Array | undefined): void {
    const { config } = this;
    const chain = config.chains[config.match.match(downstream)];
    if (chain === undefined) {
      this.#noChain.value++;
      downstream.connection.handle(ignoring);
      downstream.connection.destroy();
      return;
    }
    if (chain.tls === undefined) {
      const handler = this.#handler(chain, downstream);
      if (handler === undefined) return;
      downstream.connection.handle(handler);
      if (first !== undefined && first.length > 0) handler.onData(first);
      return;
    }
    this.#startTls(chain, downstream, first);
  }

  #startTls(chain: ChainRuntime, downstream: Downstream, first: Uint8Array | undefined): void {
    const { connection } = downstream;
    const context = chain.tls?.context();
    if (context === undefined) {
      this.#scope.counter("downstream_context_secrets_not_ready").value++;
      connection.handle(ignoring);
      connection.destroy();
      return;
    }
    const deadline = new WheelEntry(() => connection.destroy());
    if (chain.handshakeTimeoutMs > 0) this.#machine.wheel.set(deadline, chain.handshakeTimeoutMs);
    connection.handle({
      onConnect: () => {
        this.#machine.wheel.cancel(deadline);
        this.#sslHandshake.value++;
        const { tls } = connection.facts;
        if (tls !== undefined) downstream.secured(tls);
        const handler = this.#handler(chain, downstream);
        if (handler !== undefined) connection.handle(handler);
      },
      onData: () => undefined,
      onClose: () => {
        this.#machine.wheel.cancel(deadline);
        this.#sslError.value++;
      },
    });
    connection.startTls(context, first);
  }

  #handler(chain: ChainRuntime, downstream: Downstream): ConnectionHandler | undefined {
    for (const { filter, stats } of chain.rbac) {
      const denial = enforce(filter, stats, downstream, noRequest);
      if (denial === undefined) continue;
      this.#refuse(downstream, denial.details);
      return undefined;
    }
    const { terminal } = chain;
    if (terminal.kind === "http") return new HttpConnection(this.#machine, terminal, downstream, this.open);
    const session = new TcpSession(this.#machine, terminal.settings, downstream, this.open);
    session.start();
    return session;
  }

  #refuse(downstream: Downstream, details: string): void {
    const session = { details, downstream };
    this.#machine.refused(session);
    downstream.connection.handle(ignoring);
    downstream.connection.destroy();
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
  #bytes: Uint8Array = new Uint8Array(0);
  #needsTls: boolean;
  #needsHttp: boolean;
  #over = false;

  constructor(listener: ListenerRuntime, machine: ProxyMachine, downstream: Downstream) {
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
      } else this.#downstream.transportProtocol = "raw_buffer";
    }
    if (this.#needsHttp) {
      const protocol = sniffHttp(this.#bytes);
      if (protocol === undefined) return;
      if (protocol !== "") this.#downstream.applicationProtocols = [protocol];
    }
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#machine.wheel.cancel(this.#deadline);
    if (this.#downstream.transportProtocol === "") this.#downstream.transportProtocol = "raw_buffer";
    this.#listener.choose(this.#downstream, this.#bytes);
  }

  #expired(): void {
    // A server that speaks first: the client waits for us.
    if (this.#listener.config.continueOnTimeout) this.#end();
    else this.#downstream.connection.destroy();
  }

  onEnd(): void {
    this.#downstream.connection.destroy();
  }

  onClose(_error?: NetError): void {
    this.#over = true;
    this.#machine.wheel.cancel(this.#deadline);
  }
}
