/** What is known of an accepted connection, as decisions and logs want it. Made once, read by every request on it. */
import { type Ip, parseIp } from "#lib/ip.ts";
import type { Connection, SocketAddress, TlsFacts } from "#host/net.ts";
import type { ConnectionView, PeerIdentity, PeerView } from "#decide/request-view.ts";

export class Downstream implements ConnectionView {
  readonly connection: Connection;
  /** Where the client meant to go. */
  readonly target: SocketAddress | undefined;
  readonly destination: PeerView;
  readonly directRemote: PeerView;
  remote: PeerView;
  readonly local: string | undefined;
  readonly directRemoteText: string | undefined;
  readonly directRemoteIp: string | undefined;
  serverName: string | undefined = undefined;
  transportProtocol = "";
  applicationProtocols: readonly string[] = [];
  peer: PeerIdentity | undefined = undefined;
  tls: TlsFacts | undefined = undefined;
  /** SPIFFE ID of our own certificate. */
  localUri: string | undefined = undefined;
  /** For the connection's own log line. */
  readonly startedAtMs: number;
  bytesReceived = 0;
  flags = "";
  terminationDetails: string | undefined = undefined;
  transportFailure: string | undefined = undefined;
  /** The listener's: called once, when the connection is over. */
  ended: (() => void) | undefined = undefined;
  #countedBytes = 0;
  /** x-forwarded-client-cert element, made when first needed. */
  element?: string;

  constructor(connection: Connection, target: SocketAddress | undefined, startedAtMs: number) {
    this.startedAtMs = startedAtMs;
    this.connection = connection;
    this.target = target ?? connection.facts.local;
    this.destination = peerView(this.target);
    const remote = connection.facts.remote;
    this.directRemote = peerView(remote);
    this.remote = this.directRemote;
    this.local = addressText(this.target);
    this.directRemoteText = addressText(remote);
    this.directRemoteIp = remote?.ip;
  }

  get certificate(): Uint8Array | undefined {
    return this.tls?.peerCertificate;
  }

  /** Bytes handed over to the client since this was last asked. */
  takeSentBytes(): number {
    const sent = this.connection.sentBytes - this.#countedBytes;
    this.#countedBytes = this.connection.sentBytes;
    return sent;
  }

  end(): void {
    const { ended } = this;
    this.ended = undefined;
    ended?.();
  }

  /** After the TLS handshake. */
  secured(tls: TlsFacts, localUri: string | undefined): void {
    this.tls = tls;
    this.localUri = localUri;
    this.serverName = tls.serverName ?? this.serverName;
    if (tls.peerCertificate !== undefined) this.peer = { uris: tls.peerUris, dnsNames: tls.peerDnsNames, subject: "" };
  }
}

function peerView(address: SocketAddress | undefined): PeerView {
  const ip: Ip | undefined = address === undefined ? undefined : parseIp(address.ip);
  return { ip, port: address?.port ?? 0 };
}

export function addressText(address: SocketAddress | undefined): string | undefined {
  if (address === undefined) return undefined;
  return address.ip.includes(":") ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}
