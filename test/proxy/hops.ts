/** Weft's proxy in this process on real sockets: one hop, or two with mTLS between them. */
import type { AddressInfo, Server } from "node:net";
import { once } from "node:events";
import { authority } from "#host/contract/certificates.ts";
import { realHost } from "#host/real/real.ts";
import { type Proxy, startProxy } from "#proxy/proxy.ts";

export type Between = "plain" | "mTLS";

export interface Hops {
  /** Of the hop that clients talk to. */
  readonly port: number;
  /** The hop that clients talk to is about to end. */
  leave(): void;
  stop(): Promise<void>;
}

type Secured = Readonly<Record<"downstream" | "upstream", object>>;

export async function startHops(between: Between, backendPort: number): Promise<Hops> {
  const proxies: Proxy[] = [];
  const start = async (upstreamPort: number, sockets: Partial<Secured>): Promise<number> => {
    const proxy = await startProxy(realHost(), { bootstrap: JSON.stringify(bootstrap(upstreamPort, sockets)) });
    proxies.push(proxy);
    const address = proxy.listenerAddress("in");
    return address !== undefined && "port" in address ? address.port : 0;
  };
  let port: number;
  if (between === "plain") port = await start(backendPort, {});
  else {
    const { downstream, upstream } = await mutual();
    port = await start(await start(backendPort, { downstream }), { upstream });
  }
  return { port, leave: () => proxies.at(-1)?.leave(), stop: async () => void (await Promise.all(proxies.map((proxy) => proxy.stop()))) };
}

async function mutual(): Promise<Secured> {
  const root = await authority("hops");
  const { certificate, privateKey } = await root.issue([{ type: "url", value: "spiffe://cluster.local/ns/default/sa/hops" }]);
  const common_tls_context = {
    tls_certificates: [{ certificate_chain: { inline_string: certificate }, private_key: { inline_string: privateKey } }],
    validation_context: { trusted_ca: { inline_string: root.ca } },
  };
  const socket = (kind: string, fields: object): object => ({
    transport_socket: {
      name: "tls",
      typed_config: { "@type": `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${kind}`, common_tls_context, ...fields },
    },
  });
  return { downstream: socket("DownstreamTlsContext", { require_client_certificate: true }), upstream: socket("UpstreamTlsContext", {}) };
}

function bootstrap(upstreamPort: number, { downstream = {}, upstream = {} }: Partial<Secured>): object {
  const filter = (name: string, fields: object = {}): object => ({ "@type": `type.googleapis.com/envoy.extensions.filters.${name}`, ...fields });
  const address = (port: number): object => ({ socket_address: { address: "127.0.0.1", port_value: port } });
  const manager = filter("network.http_connection_manager.v3.HttpConnectionManager", {
    stat_prefix: "in",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "out", timeout: "0s" } }] }] },
    http_filters: [{ name: "router", typed_config: filter("http.router.v3.Router") }],
  });
  const endpoint = { endpoint: { address: address(upstreamPort) } };
  return {
    static_resources: {
      listeners: [{ name: "in", address: address(0), filter_chains: [{ filters: [{ name: "http", typed_config: manager }], ...downstream }] }],
      clusters: [{ name: "out", type: "STATIC", load_assignment: { cluster_name: "out", endpoints: [{ lb_endpoints: [endpoint] }] }, ...upstream }],
    },
  };
}

export async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
