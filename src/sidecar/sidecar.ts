/**
 * The proxy in a pod of Kubernetes: what injection says in the environment becomes Envoy's bootstrap, and the proxy starts with it
 * once the node's agent listens on the pod's abstract socket. kubelet's questions to the application are answered from the
 * first moment on, because an application must not be killed for what its proxy waits for.
 *
 * It has no capability and no file of its own; who it is it does not say but proves, by being a process of this pod.
 */
import { proxyBootstrap } from "#compile/inject/proxy-bootstrap.ts";
import type { Host } from "#host/host.ts";
import { startProxy, type Proxy, type ProxyHost } from "#proxy/proxy.ts";
import type { Log } from "#run/log.ts";
import type { Running } from "#run/program.ts";
import { serveAppProbes, TO_APPLICATION } from "./app-probes.ts";
import { readEnvironment, type Environment } from "./environment.ts";

/** Abstract: it belongs to the pod's network namespace, and the agent makes it there. */
export const AGENT_SOCKET = "@weft/xds";

const RETRY_MS = 250;
const SAY_EVERY_MS = 10_000;
/** Balancers learn late that a gateway ends; until then it goes on accepting. */
const GATEWAY_LINGER_MS = 3_000;

export interface SidecarOptions {
  readonly env: Environment;
  readonly log: Log;
  /** Called by POST /quitquitquit of the admin page. */
  readonly quit: () => void;
}

type SidecarHost = ProxyHost & Pick<Host, "clock" | "net" | "http" | "rpc">;

export async function startSidecar(host: SidecarHost, { env, log, quit }: SidecarOptions): Promise<Running> {
  const { identity, probes } = readEnvironment(env);
  const server = Object.keys(probes).length === 0 ? undefined : await serveAppProbes(host, { probes, podIP: identity.podIP, sourceIp: TO_APPLICATION, log });
  const stopped = new AbortController();
  const starting = waitForAgent(host, log, stopped.signal).then(async () => {
    if (stopped.signal.aborted) return undefined;
    const bootstrap = JSON.stringify(proxyBootstrap(identity, { socket: AGENT_SOCKET }));
    const proxy = await startProxy(host, { bootstrap, log, quit });
    void sayUntilReady(host, proxy, log, stopped.signal);
    return proxy;
  });
  // What prevents the proxy from starting ends the program; kubelet starts it again.
  starting.catch((error: unknown) => {
    log.error("the proxy could not start", { error });
    quit();
  });
  return {
    async stop() {
      stopped.abort();
      const proxy = await starting.catch(() => undefined);
      if (proxy !== undefined && identity.kind === "gateway") {
        // Who keeps a connection must not learn of our end by its own next request.
        proxy.leave();
        await host.clock.sleep(GATEWAY_LINGER_MS);
      }
      await proxy?.stop();
      await server?.close();
    },
  };
}

/** Says what it waits for: a pod that does not become ready must be able to tell why. */
async function waitForAgent(host: Pick<Host, "clock" | "net">, log: Log, signal: AbortSignal): Promise<void> {
  const begin = host.clock.monotonic();
  let nextWordMs = 0;
  while (!signal.aborted) {
    const problem = await tryConnect(host);
    const waitedMs = host.clock.monotonic() - begin;
    if (problem === undefined) return waitedMs > SAY_EVERY_MS ? log.info("the node's agent is there", { waitedMs }) : undefined;
    if (waitedMs >= nextWordMs) {
      nextWordMs = waitedMs + SAY_EVERY_MS;
      log.warn("waiting for the node's agent; does DaemonSet weft-system/weft-agent run on this node?", { socket: AGENT_SOCKET, problem });
    }
    await host.clock.sleep(RETRY_MS, signal).catch(() => undefined);
  }
}

/** A proxy without configuration or certificate keeps its pod from starting. */
async function sayUntilReady({ clock }: Pick<Host, "clock">, proxy: Proxy, log: Log, signal: AbortSignal): Promise<void> {
  for (;;) {
    await clock.sleep(SAY_EVERY_MS, signal).catch(() => undefined);
    if (signal.aborted || proxy.ready) return;
    log.warn("waiting for configuration and certificate, which the node's agent gets from the control plane; is Deployment weft-system/weft-control ready?");
  }
}

function tryConnect(host: Pick<Host, "net">): Promise<string | undefined> {
  return new Promise((resolve) => {
    const connection = host.net.connect(
      { address: { path: AGENT_SOCKET }, timeoutMs: 2_000 },
      {
        onConnect() {
          connection.destroy();
          resolve(undefined);
        },
        onData() {},
        onEnd() {},
        onDrain() {},
        onClose(error) {
          resolve(error?.message ?? "closed");
        },
      },
    );
  });
}
