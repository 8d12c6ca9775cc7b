/** Lets the outer half of the supervisor open connections to addresses of the cluster: a Unix socket reaches across namespaces. */
import type { Host } from "#host/host.ts";
import type { Connection, Listener } from "#host/net.ts";
import { FORWARD_SOCKET, parseForwardHeader } from "#model/supervisor-link.ts";
import { spliceHandler } from "#run/splice.ts";

const CONNECT_TIMEOUT_MS = 5000;

export function serveForwards(host: Pick<Host, "net">): Promise<Listener> {
  return host.net.listen({ address: { path: FORWARD_SOCKET }, mode: 0o600 }, (connection) => forward(host, connection));
}

function forward(host: Pick<Host, "net">, outer: Connection): void {
  let head: Uint8Array = new Uint8Array();
  outer.handle({
    onData(bytes) {
      head = Buffer.concat([head, bytes]);
      let target: ReturnType<typeof parseForwardHeader>;
      try {
        target = parseForwardHeader(head);
      } catch {
        outer.destroy(true);
        return;
      }
      if (target === undefined) return;
      const inner: Connection = host.net.connect(
        { address: { ip: target.ip, port: target.port }, timeoutMs: CONNECT_TIMEOUT_MS },
        spliceHandler(
          () => inner,
          () => outer,
        ),
      );
      const rest = head.subarray(target.length);
      if (rest.length > 0) inner.write(Uint8Array.from(rest));
      outer.handle(
        spliceHandler(
          () => outer,
          () => inner,
        ),
      );
    },
    onEnd: () => outer.destroy(),
    onClose: () => undefined,
  });
}
