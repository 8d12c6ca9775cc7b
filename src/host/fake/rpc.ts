/**
 * gRPC in memory: callers and services of one simulated world meet in a `FakeRpcNetwork`. Every message takes
 * `delayMs` of virtual time and messages of a call stay in order. TLS is facts about the peer, checked with the same
 * certificates: a chain that would fail on the real host fails here.
 */
import { X509Certificate } from "node:crypto";

import type { Clock } from "#host/clock.ts";
import { HostError } from "#host/host-error.ts";
import type { StreamAddress } from "#host/net.ts";
import { RPC_STATUS } from "#host/rpc.ts";
import { parseIp } from "#lib/ip.ts";
import type {
  PeerCredentials,
  Rpc,
  RpcCallHandler,
  RpcClientCall,
  RpcConnectOptions,
  RpcReceiver,
  RpcServeOptions,
  RpcServer,
  RpcServerCall,
  RpcStatus,
} from "#host/rpc.ts";

interface Service {
  options: RpcServeOptions;
  /** Ends a call as a lost connection does. */
  readonly open: Set<(status: RpcStatus) => void>;
}

/** Where the services of one world listen. */
export class FakeRpcNetwork {
  readonly #services = new Map<string, Service>();
  #nextPort = 40_000;

  /** A service that listens on port 0 gets a port of its own. */
  add(options: RpcServeOptions, netns: string): Pick<RpcServer, "address" | "renew"> & { readonly remove: () => void } {
    const address = "path" in options.address || options.address.port !== 0 ? options.address : { ip: options.address.ip, port: this.#nextPort++ };
    const key = keyOf(address, options.netns ?? netns);
    if (this.#services.has(key) && (!("path" in address) || address.path.startsWith("@")))
      throw new HostError("EADDRINUSE", key, "address is in use by another service of this world");
    const service: Service = { options, open: new Set() };
    this.#services.set(key, service);
    const remove = (): void => {
      if (this.#services.get(key) === service) this.#services.delete(key);
      for (const lose of [...service.open]) lose({ code: RPC_STATUS.unavailable, message: `${key}: connection lost` });
    };
    const renew: RpcServer["renew"] = (own) => {
      const { tls } = service.options;
      if (tls !== undefined) service.options = { ...service.options, tls: { ...tls, ...own } };
    };
    return { address, remove, renew };
  }

  find(address: StreamAddress, netns = HOME): Service | undefined {
    return this.#services.get(keyOf(address, netns));
  }

  /** Breaks every open connection to a service that goes on listening. */
  breakConnections(address: StreamAddress): void {
    for (const lose of [...(this.find(address)?.open ?? [])]) lose({ code: RPC_STATUS.unavailable, message: `${keyOf(address)}: connection reset` });
  }
}

/** Of hosts that are not said to be in any. */
const HOME = "";

/** Abstract names ("@name") belong to a namespace, all else is one for the world. */
function keyOf(address: StreamAddress, netns = HOME): string {
  if ("path" in address) return address.path.startsWith("@") ? `${netns} ${address.path}` : address.path;
  return `${address.ip}:${address.port}`;
}

export interface FakeRpcOptions {
  /** Every message takes so long. */
  readonly delayMs?: number;
  readonly netns?: string;
  /** Who this host's programs are to a service on an abstract socket. */
  readonly credentials?: PeerCredentials;
}

const ROOT: PeerCredentials = { pid: 1, uid: 0, gid: 0 };

export function fakeRpc(clock: Clock, network: FakeRpcNetwork, { delayMs = 1, netns = HOME, credentials = ROOT }: FakeRpcOptions = {}): Rpc {
  return {
    serve(options) {
      try {
        const { address, remove, renew } = network.add(options, netns);
        return Promise.resolve({ address, renew, close: () => Promise.resolve(remove()) });
      } catch (error) {
        return Promise.reject(error instanceof Error ? error : new Error(String(error)));
      }
    },
    connect(options) {
      const calls = new Set<FakeCall>();
      return {
        call(method, metadata, handler) {
          const call = new FakeCall(clock, delayMs, handler, () => calls.delete(call));
          calls.add(call);
          clock.after(delayMs, () => void call.admit(network.find(options.address, netns), credentials, options, { method, metadata }));
          return call;
        },
        close() {
          for (const call of [...calls]) call.cancel();
        },
      };
    },
  };
}

type StartArguments = [options: RpcConnectOptions, call: { readonly method: string; readonly metadata: Readonly<Record<string, string>> }];

class FakeCall implements RpcClientCall {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #handler: RpcCallHandler;
  readonly #gone: () => void;
  #service: Service | undefined;
  #receiver: RpcReceiver | undefined;
  /** What the caller did before the call reached the service. */
  #early: (() => void)[] = [];
  #clientClosed = false;
  #serverClosed = false;

  constructor(clock: Clock, delayMs: number, handler: RpcCallHandler, gone: () => void) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#handler = handler;
    this.#gone = gone;
  }

  async admit(service: Service | undefined, credentials: PeerCredentials, ...start: StartArguments): Promise<void> {
    const ask = service?.options.admit;
    if (ask === undefined) return this.start(service, ...start);
    const refusal = await ask(credentials).catch(() => "could not be checked");
    if (refusal === undefined) this.start(service, ...start);
    else this.#finish({ code: RPC_STATUS.unavailable, message: "connection closed" });
  }

  start(service: Service | undefined, ...[options, call]: StartArguments): void {
    if (this.#clientClosed) return;
    if (service === undefined) return this.#finish({ code: RPC_STATUS.unavailable, message: `${keyOf(options.address)}: connection refused` });
    const refusal = refuseTls(service.options, options);
    if (refusal !== undefined) return this.#finish({ code: RPC_STATUS.unavailable, message: refusal });
    const method = service.options.methods[call.method];
    if (method === undefined) return this.#finish({ code: RPC_STATUS.unimplemented, message: `unknown method ${call.method}` });
    this.#service = service;
    service.open.add(this.#lose);
    const certificate = options.tls?.certificate;
    const serverCall: RpcServerCall = {
      metadata: Object.fromEntries(Object.entries(call.metadata).map(([key, value]) => [key.toLowerCase(), value])),
      peer: { address: "fake", certificate: certificate === undefined || service.options.tls === undefined ? undefined : new X509Certificate(certificate).raw },
      send: (message) => {
        const copy = message.slice();
        if (!this.#serverClosed) this.#later(() => this.#clientClosed || this.#handler.onMessage(copy));
      },
      end: (code = RPC_STATUS.ok, message = "") => {
        if (this.#serverClosed) return;
        queueMicrotask(() => this.#closeServer());
        this.#later(() => this.#finish({ code, message }));
      },
    };
    this.#receiver = method(serverCall);
    for (const action of this.#early.splice(0)) action();
  }

  send(message: Uint8Array): void {
    const copy = message.slice();
    this.#toServer(() => this.#receiver?.onMessage(copy));
  }

  end(): void {
    this.#toServer(() => this.#receiver?.onEnd?.());
  }

  cancel(): void {
    if (this.#clientClosed) return;
    this.#later(() => this.#closeServer());
    this.#later(() => this.#finish({ code: RPC_STATUS.cancelled, message: "cancelled by the caller" }));
  }

  readonly #lose = (status: RpcStatus): void => {
    this.#closeServer();
    this.#finish(status);
  };

  #toServer(action: () => void): void {
    const run = (): void => {
      if (!this.#serverClosed) action();
    };
    if (this.#receiver === undefined) this.#early.push(run);
    else this.#later(run);
  }

  #later(action: () => void): void {
    this.#clock.after(this.#delayMs, action);
  }

  #closeServer(): void {
    if (this.#serverClosed) return;
    this.#serverClosed = true;
    this.#service?.open.delete(this.#lose);
    this.#receiver?.onClose?.();
  }

  #finish(status: RpcStatus): void {
    if (this.#clientClosed) return;
    this.#clientClosed = true;
    this.#gone();
    this.#handler.onClose(status);
  }
}

/** Why a TLS handshake between the two would fail; undefined: it would not. */
function refuseTls(server: RpcServeOptions, client: RpcConnectOptions): string | undefined {
  if (server.tls === undefined) return client.tls === undefined ? undefined : `${keyOf(client.address)}: TLS handshake failed: the service speaks cleartext`;
  if (client.tls === undefined) return `${keyOf(client.address)}: connection closed: the service speaks TLS`;
  const name = client.tls.serverName ?? ("ip" in client.address ? client.address.ip : "localhost");
  const leaf = new X509Certificate(server.tls.certificate);
  if (!signedBy(leaf, client.tls.ca)) return `${keyOf(client.address)}: the service's certificate is not signed by the caller's CA`;
  if ((parseIp(name) === undefined ? leaf.checkHost(name) : leaf.checkIP(name)) === undefined)
    return `${keyOf(client.address)}: the service's certificate is not for ${name}`;
  if (client.tls.certificate === undefined) {
    return server.tls.requireClientCertificate ? `${keyOf(client.address)}: the service requires a client certificate` : undefined;
  }
  if (!signedBy(new X509Certificate(client.tls.certificate), server.tls.ca))
    return `${keyOf(client.address)}: the client certificate is not signed by the service's CA`;
  return undefined;
}

function signedBy(leaf: X509Certificate, bundle: string): boolean {
  const authorities = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return authorities.some((pem) => leaf.verify(new X509Certificate(pem).publicKey));
}
