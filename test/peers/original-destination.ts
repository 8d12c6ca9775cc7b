/**
 * Runs in a network namespace of its own (see envoy-original-destination.test.ts): connections to 10.9.0.0/16 are
 * redirected as in a pod, those to 10.9.1.0/24 to Weft's proxy, those to 10.9.2.0/24 to Envoy. Prints what a client saw.
 */
import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { cluster, httpManager, listener, tcpProxy, typed } from "./bootstrap-parts.ts";
import { rawExchange } from "./raw-exchange.ts";
import { type SidePlace, startSides } from "./sides.ts";

const MARK = 1337;
const NETS = { weft: "10.9.1", envoy: "10.9.2" };
const GET = "GET / HTTP/1.1\r\nhost: any.test\r\nconnection: close\r\n\r\n";

/** Last octet and port of each destination. */
const DESTINATIONS: readonly (readonly [number, number])[] = [
  [3, 8080],
  [5, 8080],
  [5, 9000],
  [6, 9000],
  [7, 9100],
  [7, 9200],
  [7, 1],
];

function run(command: string): void {
  const [program = "", ...args] = command.split(" ");
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
}

function answering(name: string): object {
  const route = { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: name } } };
  return { filters: [httpManager({ stat_prefix: name, route_config: { name, virtual_hosts: [{ name, domains: ["*"], routes: [route] }] } })] };
}

const unbound = (name: string, ip: string, port: number): object => ({
  ...listener(name, [answering(name)]),
  address: { socket_address: { address: ip, port_value: port } },
  bind_to_port: false,
});

function bootstrap({ name }: SidePlace): object {
  const originalDst = { name: "envoy.filters.listener.original_dst", typed_config: typed("envoy.extensions.filters.listener.original_dst.v3.OriginalDst") };
  return {
    static_resources: {
      listeners: [
        {
          ...listener("virtual", [{ ...answering("port-9200"), filter_chain_match: { destination_port: 9200 } }]),
          address: { socket_address: { address: "0.0.0.0", port_value: 0 } },
          use_original_dst: true,
          listener_filters: [originalDst],
          default_filter_chain: { filters: [tcpProxy("passthrough")] },
        },
        unbound("any-8080", "0.0.0.0", 8080),
        unbound("exact-8080", `${NETS[name]}.5`, 8080),
        unbound("exact-9000", `${NETS[name]}.5`, 9000),
      ],
      clusters: [
        cluster("passthrough", undefined, {
          type: "ORIGINAL_DST",
          lb_policy: "CLUSTER_PROVIDED",
          load_assignment: undefined,
          upstream_bind_config: {
            source_address: { address: "0.0.0.0", port_value: 0 },
            socket_options: [{ level: 1, name: 36, int_value: MARK, state: "STATE_PREBIND" }],
          },
        }),
      ],
    },
  };
}

run("ip link set lo up");
run("ip route add local 10.9.0.0/16 dev lo");
const echo = createServer({ allowHalfOpen: true }, (socket) => void socket.on("error", () => undefined).pipe(socket));
await new Promise<void>((resolve) => echo.listen(9100, "0.0.0.0", resolve));
const sides = await startSides(bootstrap);
try {
  run("nft add table ip t");
  run("nft add chain ip t out { type nat hook output priority -100 ; }");
  run(`nft add rule ip t out meta mark ${MARK} accept`);
  for (const side of [sides.weft, sides.envoy])
    run(`nft add rule ip t out ip daddr ${NETS[side.name]}.0/24 meta l4proto tcp redirect to :${side.port("virtual")}`);
  const seen: Record<string, readonly string[]> = {};
  for (const [host, port] of DESTINATIONS) {
    const answers = [sides.weft, sides.envoy].map(async ({ name }) => {
      const { text } = await rawExchange({ to: `${NETS[name]}.${host}`, port, send: GET, end: port === 9100 });
      return text.slice(text.lastIndexOf("\r\n\r\n") + 4) || text.slice(0, 12);
    });
    seen[`${host}:${port}`] = await Promise.all(answers);
  }
  process.stdout.write(JSON.stringify(seen));
} finally {
  sides.stop();
  echo.close();
}
