/**
 * Methods whose callers must be known first. Asking takes time, so what a caller sends meanwhile waits; who is refused, or
 * does not wait to the end, never reaches the method.
 */
import type { RpcMethod, RpcReceiver, RpcServerCall } from "#host/rpc.ts";
import { RPC_STATUS } from "#host/rpc.ts";
import type { NodeAnswer } from "#control/callers.ts";

/** Of a call that a method was given. */
export type NodeOfCall = (call: object) => NodeAnswer;

/** Agents send one request a type before they hear anything. */
const MOST_WAITING = 64;

export function knownCallers(
  ask: (authorization: string | undefined) => Promise<NodeAnswer | undefined>,
  makeMethods: (nodeOf: NodeOfCall) => Readonly<Record<string, RpcMethod>>,
): Readonly<Record<string, RpcMethod>> {
  const nodes = new WeakMap<object, NodeAnswer>();
  const methods = makeMethods((call) => nodes.get(call) ?? { refused: "the caller is not known" });
  const wrap =
    (method: RpcMethod): RpcMethod =>
    (call) => {
      const waiting = new WaitingCall(call);
      void ask(call.metadata["authorization"]).then(
        (node) => {
          if (node === undefined)
            return waiting.refuse(RPC_STATUS.unavailable, "the API server cannot be asked about the token now; ask another replica, or again");
          if ("refused" in node) return waiting.refuse(RPC_STATUS.unauthenticated, node.refused);
          waiting.open((opened) => {
            nodes.set(opened, node);
            return method(opened);
          });
        },
        (error: unknown) => waiting.refuse(RPC_STATUS.internal, `cannot tell who calls: ${String(error)}`),
      );
      return waiting;
    };
  return Object.fromEntries(Object.entries(methods).map(([path, method]) => [path, wrap(method)]));
}

class WaitingCall implements RpcReceiver {
  readonly #call: RpcServerCall;
  readonly #early: ((receiver: RpcReceiver) => void)[] = [];
  #receiver: RpcReceiver | undefined;
  #isClosed = false;

  constructor(call: RpcServerCall) {
    this.#call = call;
  }

  open(method: RpcMethod): void {
    if (this.#isClosed) return;
    const receiver = method({ ...this.#call });
    this.#receiver = receiver;
    for (const each of this.#early.splice(0)) each(receiver);
  }

  refuse(code: number, message: string): void {
    if (!this.#isClosed) this.#call.end(code, message);
  }

  onMessage(message: Uint8Array): void {
    // The buffer is the transport's.
    const kept = this.#receiver === undefined ? message.slice() : message;
    this.#pass((receiver) => receiver.onMessage(kept));
  }

  onEnd(): void {
    this.#pass((receiver) => receiver.onEnd?.());
  }

  onClose(): void {
    this.#isClosed = true;
    this.#early.length = 0;
    this.#receiver?.onClose?.();
  }

  #pass(what: (receiver: RpcReceiver) => void): void {
    if (this.#receiver !== undefined) what(this.#receiver);
    else if (this.#early.length < MOST_WAITING) this.#early.push(what);
    else this.refuse(RPC_STATUS.unavailable, `more than ${MOST_WAITING} messages before the caller was known`);
  }
}
