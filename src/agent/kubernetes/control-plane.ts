/** Where the control plane is and what its certificates are signed by, as the API says. */
import type { ApiClient } from "#client/client.ts";
import { followWorld } from "#client/informer.ts";
import type { Host } from "#host/host.ts";
import type { RpcChannel } from "#host/rpc.ts";
import { parseIp } from "#lib/ip.ts";
import type { KubernetesConfig } from "#model/kubernetes-config.ts";
import type { World } from "#model/world.ts";
import type { Log } from "#run/log.ts";
import { controlChannel, type Replica } from "./control-channel.ts";

const ROOT_MAP = "weft-root";
const ROOT_KEY = "root-cert.pem";
const TOKEN_KEPT_MS = 60_000;

export interface ControlPlaneOptions {
  readonly host: Pick<Host, "rpc" | "clock" | "random" | "files">;
  readonly api: ApiClient;
  readonly config: KubernetesConfig;
  readonly log: Log;
  readonly tokenFile: string;
}

/** What `close` ends is the watch of the root; the channel is its user's. */
export function controlPlane({ host, api, config, log, tokenFile }: ControlPlaneOptions): { channel(world: World): RpcChannel; close(): void } {
  const { systemNamespace, xdsAddress } = config;
  const roots = followWorld(api, ["ConfigMap"], {
    host,
    only: { ConfigMap: { namespace: systemNamespace, fieldSelector: `metadata.name=${ROOT_MAP}` } },
    changed: () => undefined,
    onTrouble: (kind, error) => log.warn("cannot follow the mesh root; the last one is trusted", { object: `${kind} ${systemNamespace}/${ROOT_MAP}`, error }),
  });
  return {
    channel: (world) =>
      controlChannel({
        host,
        replicas: () => replicasOf(world, xdsAddress),
        root: () => roots.world.ConfigMap?.get(`${systemNamespace}/${ROOT_MAP}`)?.data?.[ROOT_KEY],
        serverName: hostOf(xdsAddress),
        token: keptToken(host, tokenFile),
      }),
    close: () => roots.stop(),
  };
}

/** `address`: "weft-control.weft-system.svc:15012": the ready endpoints of that Service's port; or an address with its port. */
export function replicasOf(world: World, address: string): Replica[] {
  const host = hostOf(address);
  const port = Number(address.slice(host.length + 1));
  if (parseIp(host) !== undefined) return [{ ip: host, port }];
  const [name = "", namespace = ""] = host.split(".");
  const service = world.Service?.get(`${namespace}/${name}`);
  const wanted = service?.spec?.ports?.find((each) => each.port === port);
  if (wanted === undefined) return [];
  const found = new Map<string, Replica>();
  for (const slice of world.EndpointSlice?.values() ?? []) {
    if (slice.metadata.namespace !== namespace || slice.metadata.labels?.["kubernetes.io/service-name"] !== name) continue;
    const target = slice.ports?.find((each) => (each.name ?? "") === (wanted.name ?? ""))?.port;
    if (target === undefined) continue;
    for (const { addresses, conditions } of slice.endpoints) {
      const [ip] = addresses;
      if (ip !== undefined && conditions?.ready !== false) found.set(ip, { ip, port: target });
    }
  }
  return [...found.values()];
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

/** kubelet replaces the file when a fifth of its life is left. */
function keptToken(host: Pick<Host, "files" | "clock">, path: string): () => Promise<string> {
  let kept: { readonly token: Promise<string>; readonly atMs: number } | undefined;
  return () => {
    const now = host.clock.monotonic();
    if (kept === undefined || now - kept.atMs > TOKEN_KEPT_MS) kept = { token: host.files.readText(path).then((text) => text.trim()), atMs: now };
    const { token } = kept;
    token.catch(() => (kept = undefined));
    return token;
  };
}
