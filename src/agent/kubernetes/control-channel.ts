/**
 * The way to the control plane: any of its ready replicas, over TLS that the mesh root signed, with this node's token in
 * each call. A replica that cannot be reached is left for the next one by the call after. Who calls (ads/) waits and calls
 * again by itself, so nothing is kept for a call that failed.
 */
import type { Host } from "#host/host.ts";
import type { StreamAddress } from "#host/net.ts";
import { RPC_STATUS, type RpcCallHandler, type RpcChannel, type RpcClientCall, type RpcStatus } from "#host/rpc.ts";

export interface ControlChannelOptions {
  readonly host: Pick<Host, "rpc" | "clock" | "random">;
  /** Ready replicas now. */
  readonly replicas: () => readonly Replica[];
  /** PEM of the mesh root; undefined until the control plane has made one. */
  readonly root: () => string | undefined;
  readonly serverName: string;
  /** Bearer token of this node's agent. */
  readonly token: () => Promise<string>;
}

export interface Replica {
  readonly ip: string;
  readonly port: number;
}

export function controlChannel(options: ControlChannelOptions): RpcChannel {
  return new ControlChannel(options);
}

class ControlChannel implements RpcChannel {
  readonly #options: ControlChannelOptions;
  /** By address and root. */
  readonly #channels = new Map<string, RpcChannel>();
  readonly #open = new Set<ControlCall>();
  /** Agents begin at different replicas. */
  #turn: number;
  #isClosed = false;

  constructor(options: ControlChannelOptions) {
    this.#options = options;
    this.#turn = Math.floor(options.host.random.next() * 1024);
  }

  call(method: string, metadata: Readonly<Record<string, string>>, handler: RpcCallHandler): RpcClientCall {
    const turn = this.#turn;
    const call = new ControlCall({
      onMessage: (message) => handler.onMessage(message),
      onClose: (status) => {
        this.#open.delete(call);
        if (status.code === RPC_STATUS.unavailable && this.#turn === turn) this.#turn += 1;
        handler.onClose(status);
      },
    });
    this.#open.add(call);
    void this.#start(call, method, metadata);
    return call;
  }

  async #start(call: ControlCall, method: string, metadata: Readonly<Record<string, string>>): Promise<void> {
    try {
      const token = await this.#options.token();
      const chosen = this.#choose();
      if (typeof chosen === "string") call.fail({ code: RPC_STATUS.unavailable, message: chosen });
      else call.start((handler) => chosen.call(method, { ...metadata, authorization: `Bearer ${token}` }, handler));
    } catch (error) {
      call.fail({ code: RPC_STATUS.unauthenticated, message: `cannot read this agent's token: ${error instanceof Error ? error.message : String(error)}` });
    }
  }

  #choose(): RpcChannel | string {
    const { host, replicas, root, serverName } = this.#options;
    const ca = root();
    if (this.#isClosed) return "the agent is stopping";
    if (ca === undefined) return "there is no mesh root yet (ConfigMap weft-root); the control plane's leader makes it";
    const known = [...replicas()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const replica = known[this.#turn % known.length];
    if (replica === undefined) return `no replica of ${serverName} is ready`;
    const key = `${keyOf(replica)} ${ca}`;
    const channel = this.#channels.get(key) ?? host.rpc.connect({ address: addressOf(replica), tls: { ca, serverName } });
    this.#channels.set(key, channel);
    return channel;
  }

  close(): void {
    this.#isClosed = true;
    for (const call of this.#open) call.cancel();
    for (const channel of this.#channels.values()) channel.close();
  }
}

function keyOf({ ip, port }: Replica): string {
  return `${ip} ${port}`;
}

function addressOf({ ip, port }: Replica): StreamAddress {
  return { ip, port };
}

/** A call whose channel is chosen a moment after it was made. */
class ControlCall implements RpcClientCall {
  readonly #handler: RpcCallHandler;
  #inner: RpcClientCall | undefined;
  #early: ((call: RpcClientCall) => void)[] = [];
  #isClosed = false;

  constructor(handler: RpcCallHandler) {
    this.#handler = handler;
  }

  start(make: (handler: RpcCallHandler) => RpcClientCall): void {
    if (this.#isClosed) return;
    const inner = make({
      onMessage: (message) => this.#handler.onMessage(message),
      onClose: (status) => this.fail(status),
    });
    this.#inner = inner;
    for (const action of this.#early.splice(0)) action(inner);
  }

  fail(status: RpcStatus): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#handler.onClose(status);
  }

  send(message: Uint8Array): void {
    this.#do((call) => call.send(message));
  }

  end(): void {
    this.#do((call) => call.end());
  }

  cancel(): void {
    if (this.#inner === undefined) this.fail({ code: RPC_STATUS.cancelled, message: "cancelled by the caller" });
    else this.#inner.cancel();
  }

  #do(action: (call: RpcClientCall) => void): void {
    if (this.#inner === undefined) this.#early.push(action);
    else action(this.#inner);
  }
}
