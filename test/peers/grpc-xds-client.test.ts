/**
 * A client that others wrote finds a service through Weft's control plane: gRPC's own xDS client (proxyless gRPC) asks it
 * for listener, routes, clusters and endpoints, sends its calls where they say, and follows a change.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { create, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { credentials, Client, Server, ServerCredentials } from "@grpc/grpc-js";
import { realHost } from "#host/real/real.ts";
import type { RpcServer } from "#host/rpc.ts";
import { type EncodedResource, type ProxyPlan, XDS_TYPES } from "#model/plan/proxy-plan.ts";
import { ClusterSchema, Cluster_DiscoveryType } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "#wire/envoy/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "#wire/envoy/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "#wire/envoy/gen/envoy/config/route/v3/route_pb.ts";
import { RouterSchema } from "#wire/envoy/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { HttpConnectionManagerSchema } from "#wire/envoy/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { startXds, type Xds } from "#xds/xds.ts";
import { OnePlan } from "./served-plan.ts";

const METHOD = "/test.Echo/Who";
const WAIT_MS = 20_000;
const ads = { configSourceSpecifier: { case: "ads" as const, value: {} } };

function resource<D extends DescMessage>(schema: D, name: string, version: string, message: MessageInitShape<D>): readonly [string, EncodedResource] {
  return [name, { name, version, bytes: toBinary(schema, create(schema, message)) }];
}

/** `ports` of the endpoints of two clusters, and which of them the route sends to. */
function planOf(ports: Readonly<Record<"blue" | "green", number>>, to: "blue" | "green"): ProxyPlan {
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: "echo",
    routeSpecifier: { case: "rds", value: { configSource: ads, routeConfigName: "echo" } },
    httpFilters: [{ name: "router", configType: { case: "typedConfig", value: anyPack(RouterSchema, create(RouterSchema)) } }],
  });
  const clusters = Object.entries(ports);
  return {
    resources: new Map([
      [
        XDS_TYPES.listener,
        new Map([
          resource(ListenerSchema, "echo.test", "1", { name: "echo.test", apiListener: { apiListener: anyPack(HttpConnectionManagerSchema, manager) } }),
        ]),
      ],
      [
        XDS_TYPES.routes,
        new Map([
          resource(RouteConfigurationSchema, "echo", to, {
            name: "echo",
            virtualHosts: [
              {
                name: "echo",
                domains: ["*"],
                routes: [
                  {
                    match: { pathSpecifier: { case: "prefix", value: "" } },
                    action: { case: "route", value: { clusterSpecifier: { case: "cluster", value: to } } },
                  },
                ],
              },
            ],
          }),
        ]),
      ],
      [
        XDS_TYPES.cluster,
        new Map(
          clusters.map(([name]) =>
            resource(ClusterSchema, name, "1", {
              name,
              clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
              edsClusterConfig: { edsConfig: ads },
            }),
          ),
        ),
      ],
      [
        XDS_TYPES.endpoints,
        new Map(
          clusters.map(([name, port]) =>
            resource(ClusterLoadAssignmentSchema, name, "1", {
              clusterName: name,
              endpoints: [
                {
                  locality: { region: "here" },
                  loadBalancingWeight: 1,
                  lbEndpoints: [
                    {
                      hostIdentifier: {
                        case: "endpoint",
                        value: {
                          address: { address: { case: "socketAddress", value: { address: "127.0.0.1", portSpecifier: { case: "portValue", value: port } } } },
                        },
                      },
                    },
                  ],
                },
              ],
            }),
          ),
        ),
      ],
    ]),
  };
}

const asText = (text: string): Buffer => Buffer.from(text);
const fromText = (bytes: Buffer): string => bytes.toString();

describe("gRPC's own xDS client", () => {
  const host = realHost();
  const servers: Server[] = [];
  const refused: string[] = [];
  let xds: Xds;
  let control: RpcServer;
  let plans: OnePlan;
  let ports: Readonly<Record<"blue" | "green", number>>;
  let client: Client;

  const startEcho = (name: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const server = new Server();
      servers.push(server);
      const who = {
        path: METHOD,
        requestStream: false,
        responseStream: false,
        requestSerialize: asText,
        requestDeserialize: fromText,
        responseSerialize: asText,
        responseDeserialize: fromText,
      } as const;
      server.addService({ who }, { who: (_call: unknown, answer: (error: null, text: string) => void) => answer(null, name) });
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)));
    });

  const ask = (): Promise<string> =>
    new Promise((resolve, reject) =>
      client.makeUnaryRequest<string, string>(METHOD, asText, fromText, "who?", { deadline: Date.now() + WAIT_MS }, (error, text) =>
        error === null ? resolve(text ?? "") : reject(error),
      ),
    );

  before(async () => {
    ports = { blue: await startEcho("blue"), green: await startEcho("green") };
    plans = new OnePlan(planOf(ports, "blue"));
    xds = startXds(host, { plans, authorize: () => ({ proxy: "grpc" }), rejected: (_, typeUrl, message) => refused.push(`${typeUrl} ${message}`) });
    control = await host.rpc.serve({ address: { ip: "127.0.0.1", port: 0 }, methods: xds.methods });
    const at = "port" in control.address ? control.address.port : 0;
    // The client reads its bootstrap when it is loaded.
    process.env["GRPC_XDS_BOOTSTRAP_CONFIG"] = JSON.stringify({
      xds_servers: [{ server_uri: `127.0.0.1:${at}`, channel_creds: [{ type: "insecure" }], server_features: ["xds_v3"] }],
      node: { id: "grpc", locality: {} },
    });
    const { register } = await import("@grpc/grpc-js-xds");
    register();
    client = new Client("xds:///echo.test", credentials.createInsecure());
  });
  after(async () => {
    client?.close();
    for (const server of servers) server.forceShutdown();
    xds?.stop();
    await control?.close();
  });

  it("finds the endpoint that listener, route and cluster lead to", async () => {
    assert.equal(await ask(), "blue");
    assert.deepEqual(refused, []);
    const received = xds.status()[0]?.types.map(({ typeUrl, acknowledged }) => [typeUrl, acknowledged]) ?? [];
    for (const type of [XDS_TYPES.listener, XDS_TYPES.routes, XDS_TYPES.cluster, XDS_TYPES.endpoints])
      assert.ok(
        received.some(([typeUrl, acknowledged]) => typeUrl === type && acknowledged),
        `${type}: ${JSON.stringify(received)}`,
      );
  });

  it("follows a change of the route", async () => {
    plans.set(planOf(ports, "green"));
    for (const end = Date.now() + WAIT_MS; (await ask()) !== "green"; await new Promise((resolve) => setTimeout(resolve, 20)))
      assert.ok(Date.now() < end, "calls still go to blue");
    assert.deepEqual(refused, []);
  });
});
