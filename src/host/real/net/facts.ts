/** What is known of a connection. Addresses are asked for when somebody wants them: most upstream connections never do. */
import type { Socket } from "node:net";
import type { ConnectionFacts, SocketAddress, TlsFacts } from "#host/net.ts";
import { handleOf } from "./node-handle.ts";
import { originalDestination, peerCredentials } from "./raw-socket.ts";
import { plainIp } from "./socket-address.ts";

export class NodeFacts implements ConnectionFacts {
  readonly #socket: Socket;
  readonly originalDestination: SocketAddress | undefined;
  tls: TlsFacts | undefined;
  #credentials: ConnectionFacts["peerCredentials"];
  #isUnix: boolean;

  constructor(socket: Socket, options: { readonly isUnix: boolean; readonly wantsOriginalDestination: boolean }) {
    this.#socket = socket;
    this.#isUnix = options.isUnix;
    // Asked for at once: the conntrack entry may be gone when a connection is short.
    this.originalDestination = options.wantsOriginalDestination ? this.#originalDestination() : undefined;
  }

  #originalDestination(): SocketAddress | undefined {
    const fd = handleOf(this.#socket)?.fd ?? -1;
    return fd < 0 ? undefined : originalDestination(fd, this.#socket.localFamily === "IPv6", this.local);
  }

  get local(): SocketAddress | undefined {
    const { localAddress, localPort } = this.#socket;
    return localAddress === undefined || localPort === undefined ? undefined : { ip: plainIp(localAddress), port: localPort };
  }

  get remote(): SocketAddress | undefined {
    const { remoteAddress, remotePort } = this.#socket;
    return remoteAddress === undefined || remotePort === undefined ? undefined : { ip: plainIp(remoteAddress), port: remotePort };
  }

  get peerCredentials(): ConnectionFacts["peerCredentials"] {
    if (!this.#isUnix) return undefined;
    const fd = handleOf(this.#socket)?.fd ?? -1;
    if (this.#credentials === undefined && fd >= 0) this.#credentials = peerCredentials(fd);
    return this.#credentials;
  }
}
