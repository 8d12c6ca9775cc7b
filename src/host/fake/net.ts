/** Host.Net in memory: connections over the world's network, with time, refusal, back-pressure and TLS as facts. */
import { HostError } from "#host/host-error.ts";
import type { BindOptions, Connection, ConnectionHandler, ConnectOptions, DatagramSocket, Listener, ListenOptions, Net, StreamAddress } from "#host/net.ts";
import type { Files } from "#host/files.ts";
import type { Random } from "#host/random.ts";
import { FakeConnection } from "./connection.ts";
import { isLoopback, subjectOf } from "./network.ts";
import type { FakeListener } from "./network.ts";
import { clientContext, isFakeClient, serverContext } from "./tls.ts";
import type { FakeWorld } from "./world.ts";

export interface FakeNetOptions {
  readonly world: FakeWorld;
  /** Its own namespace, where sockets are made that name none. */
  readonly netns: string;
  readonly random: Random;
  /** Socket files appear here. */
  readonly files: Files & { placeSocket(path: string, mode: number): void; removeSocket(path: string): void };
}

/** Linux gives up on a SYN that nobody answers after about this long (tcp_syn_retries 6). */
const SYN_TIMEOUT_MS = 127_000;

export function fakeNet(options: FakeNetOptions): Net {
  return {
    listen: async (asked, accepted) => listen(options, asked, accepted),
    connect: (asked, handler) => connect(options, asked, handler),
    bind: async (asked, received) => bind(options, asked, received),
    tlsServer: serverContext,
    tlsClient: clientContext,
  };
}

function listen({ world, netns, files }: FakeNetOptions, asked: ListenOptions, accepted: (connection: Connection) => void): Listener {
  const listener: FakeListener = {
    netns: asked.netns ?? netns,
    wantsOriginalDestination: asked.originalDestination ?? false,
    accept: accepted,
  };
  const { address, close } = world.network.listen(asked.address, listener);
  const file = "path" in address && !address.path.startsWith("@") ? address.path : undefined;
  if (file !== undefined) files.placeSocket(file, asked.mode ?? 0o755);
  return {
    address,
    close: () => {
      if (file !== undefined) files.removeSocket(file);
      return Promise.resolve(close());
    },
  };
}

interface Route {
  readonly listener: FakeListener | undefined;
  readonly netns: string;
  readonly address: StreamAddress;
}

function connect(options: FakeNetOptions, asked: ConnectOptions, handler: ConnectionHandler): Connection {
  const { world } = options;
  const netns = asked.netns ?? options.netns;
  const { address } = asked;
  const isUnix = "path" in address;
  const local = isUnix
    ? undefined
    : { ip: asked.sourceIp ?? (isLoopback(address.ip) ? address.ip : world.network.addressOf(netns)), port: world.network.ephemeralPort() };
  const hello = asked.tls !== undefined && isFakeClient(asked.tls.context) ? { context: asked.tls.context, serverName: asked.tls.serverName } : undefined;
  const random = (length: number): Uint8Array => options.random.bytes(length);
  const client = new FakeConnection({ world, random, local, remote: isUnix ? undefined : address, isUnix, hello });
  client.handle(handler);
  client.failAfter(asked.timeoutMs ?? SYN_TIMEOUT_MS, `connecting to ${subjectOf(address)} took longer than ${asked.timeoutMs ?? SYN_TIMEOUT_MS} ms`);
  const route = routeOf(options, asked, netns, local);
  if (route === "drop") return client;
  const delayMs = (): number => world.network.delayMs(netns, route.netns);
  world.plan(delayMs(), () => {
    if (client.isClosed) return;
    const { listener } = route;
    world.record(netns, `${listener === undefined ? "is refused by" : "reaches"} ${subjectOf(route.address)}`);
    if (listener === undefined) {
      const code = isUnix && !subjectOf(address).startsWith("@") ? "ENOENT" : "ECONNREFUSED";
      client.fail({ code, message: `connect ${code} ${subjectOf(route.address)}` });
      return;
    }
    const wasRedirected = !isUnix && "ip" in route.address && (route.address.ip !== address.ip || route.address.port !== address.port);
    const server = new FakeConnection({
      world,
      random,
      local: "path" in route.address ? undefined : route.address,
      remote: local,
      originalDestination: listener.wantsOriginalDestination && wasRedirected ? address : undefined,
      isUnix,
    });
    client.join(server, delayMs);
    server.join(client, delayMs);
    listener.accept(server);
    world.plan(delayMs(), () => {
      if (!client.isClosed) client.connected();
    });
  });
  return client;
}

function routeOf({ world }: FakeNetOptions, asked: ConnectOptions, netns: string, local: { ip: string; port: number } | undefined): Route | "drop" {
  const { address } = asked;
  if ("path" in address) return { listener: world.network.findPath(netns, address.path), netns, address };
  const found = world.network.route({ from: { netns, address: local ?? { ip: "0.0.0.0", port: 0 } }, to: address, mark: asked.mark ?? 0 });
  return found === "drop" ? "drop" : { listener: found.listener, netns: found.netns, address: found.to };
}

function bind({ world, netns }: FakeNetOptions, asked: BindOptions, received: Parameters<Net["bind"]>[1]): DatagramSocket {
  const home = asked.netns ?? netns;
  const { address, close } = world.network.bind(asked.address, { netns: home, receive: received });
  let isOpen = true;
  return {
    address,
    send(bytes, to) {
      if (!isOpen) throw new HostError("EBADF", subjectOf(to), "the socket is closed");
      const ip = address.ip === "0.0.0.0" ? (isLoopback(to.ip) ? to.ip : world.network.addressOf(home)) : address.ip;
      world.network.send({ netns: home, address: { ip, port: address.port } }, to, bytes);
    },
    close() {
      isOpen = false;
      close();
    },
  };
}
