/** What Weft's own compilers send is accepted whole, over a real delta ADS stream. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { compileProxy } from "#compile/xds/xds.ts";
import { realHost } from "#host/real/real.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { XDS_TYPES } from "#model/plan/proxy-plan.ts";
import { startXds } from "#xds/xds.ts";
import { startProxy } from "./proxy.ts";

const testdata = new URL("../compile/xds/testdata/", import.meta.url);

const CASES = [
  { name: "sidecar under a strict policy", golden: "strict-with-allow-policy.golden", gateway: false },
  { name: "sidecar with subsets", golden: "subset-with-policy.golden", gateway: false },
  { name: "sidecar with weights and header matches", golden: "weights-and-header-match.golden", gateway: false },
  { name: "gateway by Istio's kind", golden: "istio-gateway.golden", gateway: true },
  { name: "gateway by the Gateway API", golden: "gateway-api-routes-by-specificity.golden", gateway: true },
];

for (const { name, golden: file, gateway } of CASES)
  test(`every resource of the plan of a ${name} is accepted`, { timeout: 20_000 }, async () => {
    const host = realHost();
    const folder = mkdtempSync(join(tmpdir(), "weft-proxy-"));
    const path = join(folder, "xds.sock");
    const text = (file: string): string => readFileSync(new URL(file, testdata), "utf8");
    const golden = text(file);
    const { objects } = admitManifests(parseManifests("base.yaml", text("base.yaml")));
    const more = admitManifests(parseManifests("case", golden.slice(0, golden.search(/^-- /m)))).objects;
    const world = imagineWorld([...objects, ...more]);
    const [pod = ""] = [...(world.Pod?.keys() ?? [])].filter(
      (key) => key.startsWith("istio-system/") === gateway && (compileProxy(world, key)?.resources.get(XDS_TYPES.listener)?.size ?? 0) > 0,
    );
    const plan = compileProxy(world, pod);
    assert.ok(plan !== undefined, "no such proxy in the case");
    const rejections: string[] = [];
    const xds = startXds(host, {
      plans: { planOf: () => plan, onChange: () => ({ close: () => undefined }) },
      authorize: () => ({ proxy: pod }),
      rejected: (_proxy, typeUrl, message) => rejections.push(`${typeUrl}: ${message}`),
    });
    const server = await host.rpc.serve({ address: { path }, methods: xds.methods });
    const bootstrap = JSON.stringify({
      node: { id: "sidecar~127.0.0.1~x.default~default.svc.cluster.local", cluster: "x", metadata: { NAMESPACE: "default" } },
      dynamic_resources: {
        lds_config: { ads: {} },
        cds_config: { ads: {} },
        ads_config: { api_type: "DELTA_GRPC", transport_api_version: "V3", grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }] },
      },
      static_resources: {
        clusters: [
          {
            name: "xds-grpc",
            type: "STATIC",
            load_assignment: { cluster_name: "xds-grpc", endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path } } } }] }] },
          },
        ],
      },
    });
    // Two proxies of the same machine would quarrel over 15001 and 15006: this one only pretends to listen.
    const net = { ...host.net, listen: async () => ({ address: { ip: "127.0.0.1", port: 1 }, close: async () => undefined }) };
    const proxy = await startProxy(
      {
        ...host,
        net: {
          ...net,
          connect: host.net.connect.bind(host.net),
          bind: host.net.bind.bind(host.net),
          tlsServer: host.net.tlsServer.bind(host.net),
          tlsClient: host.net.tlsClient.bind(host.net),
        },
      },
      { bootstrap },
    );
    try {
      for (
        let i = 0;
        i < 100 &&
        rejections.length === 0 &&
        xds.status().every(({ types }) => types.filter(({ acknowledged, resources }) => acknowledged && resources > 0).length < 4);
        i++
      )
        await host.clock.sleep(50);
      assert.deepEqual(rejections, []);
      const received = xds.status()[0]?.types.filter(({ resources }) => resources > 0) ?? [];
      assert.deepEqual(received.map(({ typeUrl }) => typeUrl.replace(/.*\./, "")).sort(), [
        "Cluster",
        "ClusterLoadAssignment",
        "Listener",
        "RouteConfiguration",
      ]);
    } finally {
      await proxy.stop();
      await server.close();
      xds.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
