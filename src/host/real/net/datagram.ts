/** UDP over node:dgram; sockets with a mark or in another namespace are made by FFI and adopted. */
import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { HostError } from "#host/host-error.ts";
import type { BindOptions, Datagram, DatagramSocket, SocketAddress } from "#host/net.ts";
import { bindRaw, describe, rawSocket } from "./raw-socket.ts";
import { familyOf, AF_INET6, plainIp } from "./socket-address.ts";

export async function bindDatagram(options: BindOptions, received: (datagram: Datagram) => void): Promise<DatagramSocket> {
  const { address } = options;
  const type = familyOf(address.ip) === AF_INET6 ? "udp6" : "udp4";
  const socket = createSocket({ type, reuseAddr: options.reuseAddress ?? false, reusePort: options.reusePort ?? false });
  try {
    await bindSocket(socket, options);
  } catch (cause) {
    socket.close();
    if (cause instanceof HostError) throw cause;
    const { code = "EIO", message } = cause as Error & { code?: string };
    throw new HostError(code, describe(address), message, { cause });
  }
  // ICMP errors of one destination must not end the socket for all others.
  socket.on("error", () => undefined);
  socket.on("message", (bytes, from) => received({ bytes, from: { ip: plainIp(from.address), port: from.port } }));
  const bound = socket.address();
  let open = true;
  return {
    address: { ip: plainIp(bound.address), port: bound.port },
    send(bytes: Uint8Array, to: SocketAddress): void {
      if (open) socket.send(Buffer.from(bytes), to.port, to.ip, () => undefined);
    },
    close(): void {
      if (!open) return;
      open = false;
      socket.close();
    },
  };
}

function bindSocket(socket: Socket, options: BindOptions): Promise<void> {
  const { address, netns, mark } = options;
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("listening", () => {
      socket.off("error", reject);
      resolve();
    });
    if (netns === undefined && mark === undefined) {
      socket.bind({ address: address.ip, port: address.port });
      return;
    }
    const fd = rawSocket({ type: "datagram", address, netns, mark, reuseAddress: options.reuseAddress, reusePort: options.reusePort });
    bindRaw(fd, address);
    socket.bind({ fd });
  });
}
