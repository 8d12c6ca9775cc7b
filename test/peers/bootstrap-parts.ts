/** Pieces of Envoy bootstraps that several tests put together. */
import { DEAD_PORT, type Backends } from "./backends.ts";

export const typed = (name: string, fields: object = {}): object => ({ "@type": `type.googleapis.com/${name}`, ...fields });

export const address = (port: number): object => ({ socket_address: { address: "127.0.0.1", port_value: port } });

export function cluster(name: string, port: number | undefined, more: object = {}): object {
  const endpoints = port === undefined ? [] : [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }];
  return { name, type: "STATIC", connect_timeout: "1s", load_assignment: { cluster_name: name, endpoints }, ...more };
}

/** One cluster for each way in which an upstream behaves. */
export function clusters({ http, silent, echo, broken }: Backends): readonly object[] {
  return [
    cluster("backend", http),
    cluster("other", http),
    cluster("silent", silent),
    cluster("echo", echo),
    cluster("broken", broken),
    cluster("dead", DEAD_PORT),
    cluster("empty", undefined),
  ];
}

export const fileLog = (path: string, format: string): object => ({
  name: "envoy.access_loggers.file",
  typed_config: typed("envoy.extensions.access_loggers.file.v3.FileAccessLog", { path, log_format: { text_format_source: { inline_string: `${format}\n` } } }),
});

export const router = { name: "envoy.filters.http.router", typed_config: typed("envoy.extensions.filters.http.router.v3.Router") };

export function httpManager(fields: object): object {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: typed("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
      stat_prefix: "ingress",
      codec_type: "HTTP1",
      // The test waits for the close of refused connections.
      delayed_close_timeout: "0.05s",
      http_filters: [router],
      ...fields,
    }),
  };
}

export function tcpProxy(to: string, fields: object = {}): object {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: typed("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", { stat_prefix: to, cluster: to, ...fields }),
  };
}

/** A listener on a port that the kernel chooses; its stats bear its name. */
export const listener = (name: string, chains: readonly object[], more: object = {}): object => ({
  name,
  stat_prefix: name,
  address: address(0),
  filter_chains: chains,
  ...more,
});
