/** Listeners on the user's side that lead into the cluster. */
import type { Host } from "#host/host.ts";
import { HostError } from "#host/host-error.ts";
import type { Connection, Listener } from "#host/net.ts";
import { FORWARD_SOCKET, forwardHeader } from "#model/supervisor-link.ts";
import { spliceHandler } from "#run/splice.ts";
import { CliError } from "#cli/context.ts";
import type { Ports } from "#cli/state.ts";

const DEFAULTS: Ports = { api: 16443, http: 18080, https: 18443 };
const LOOPBACK = "127.0.0.1";
/** How far to look for a free port. */
const TRIES = 200;

export interface Target {
  readonly ip: string;
  readonly port: number;
}

export interface HostPorts {
  readonly ports: Ports;
  close(): Promise<void>;
}

/** `target` says where a connection to a port goes now; undefined: nowhere yet, it is closed. */
export async function openHostPorts(
  host: Pick<Host, "net">,
  remembered: Ports | undefined,
  initPid: number,
  target: (port: keyof Ports) => Target | undefined,
): Promise<HostPorts> {
  const listeners: Listener[] = [];
  const path = `/proc/${initPid}/root${FORWARD_SOCKET}`;
  const open = async (name: keyof Ports): Promise<number> => {
    const accept = (connection: Connection): void => forward(host, connection, path, target(name));
    const { listener, port } = await listenNear(host, [...(remembered === undefined ? [] : [remembered[name]]), DEFAULTS[name]], accept);
    listeners.push(listener);
    return port;
  };
  const ports = { api: await open("api"), http: await open("http"), https: await open("https") };
  return {
    ports,
    async close() {
      await Promise.all(listeners.map((listener) => listener.close()));
    },
  };
}

async function listenNear(
  host: Pick<Host, "net">,
  wanted: readonly number[],
  accept: (connection: Connection) => void,
): Promise<{ readonly listener: Listener; readonly port: number }> {
  const last = wanted.at(-1) ?? 0;
  for (const port of [...wanted, ...Array.from({ length: TRIES }, (_, index) => last + index + 1)]) {
    try {
      return { listener: await host.net.listen({ address: { ip: LOOPBACK, port } }, accept), port };
    } catch (error) {
      if (!(error instanceof HostError) || (error.code !== "EADDRINUSE" && error.code !== "EACCES")) throw error;
    }
  }
  throw new CliError(`no free port on ${LOOPBACK} from ${last} to ${last + TRIES}; end what listens there`);
}

function forward(host: Pick<Host, "net">, outer: Connection, path: string, target: Target | undefined): void {
  if (target === undefined) {
    outer.handle({ onData: () => undefined, onClose: () => undefined });
    outer.destroy(true);
    return;
  }
  const inner: Connection = host.net.connect(
    { address: { path } },
    spliceHandler(
      () => inner,
      () => outer,
    ),
  );
  inner.write(forwardHeader(target.ip, target.port));
  outer.handle(
    spliceHandler(
      () => outer,
      () => inner,
    ),
  );
}
