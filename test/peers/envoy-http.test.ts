/**
 * HTTP through Weft's proxy and through Envoy, from one bootstrap: the same requests, byte for byte. Answers, what the
 * backend was told, access log lines and the counters that both keep must be equal.
 */
import assert from "node:assert/strict";
import { type DescMessage, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { after, before, describe, it } from "node:test";
import { ClustersSchema } from "#wire/envoy/gen/envoy/admin/v3/clusters_pb.ts";
import { type ConfigDump, ConfigDumpSchema } from "#wire/envoy/gen/envoy/admin/v3/config_dump_pb.ts";
import { ClustersConfigDumpSchema, ListenersConfigDumpSchema, RoutesConfigDumpSchema } from "#wire/envoy/gen/envoy/admin/v3/config_dump_shared_pb.ts";
import { envoyRegistry } from "#wire/envoy/gen/registry.ts";
import { startBackends, type Backends } from "./backends.ts";
import { type Difference, KNOWN_DIFFERENCES, prometheusOf, settledComparison, statsOf } from "./counters.ts";
import { httpBootstrap } from "./http-bootstrap.ts";
import { BODIES, broken, CHANGING, DENIED, EDGE, FAILURES, ROUTING, SLOW } from "./http-requests.ts";
import { type HttpAnswer, rawExchange, readAnswer } from "./raw-exchange.ts";
import { bothLogs, type Side, type Sides, skipWithoutEnvoy, startSides } from "./sides.ts";

let sides: Sides;
let backends: Backends;

/** What differs by nature: times, ids, and the system's own words for a refused connection. */
const UNCOMPARED = new Set(["date", "x-envoy-upstream-service-time"]);

function comparable(listener: string, text: string): HttpAnswer {
  const { status, headers, body } = readAnswer(text);
  // What the codec refuses in the middle of a body is answered before the route's own headers.
  const isCodecs = status === 400 && body === "Bad Request";
  const kept = Object.entries(headers).filter(
    ([name]) =>
      !UNCOMPARED.has(name) && !(isCodecs && name === "x-config") && !(name === "content-length" && listener === "edge" && body.includes("x-forwarded-for")),
  );
  return {
    status,
    headers: Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1))),
    body: body
      // What is left of the time for another try.
      .replace(/"x-envoy-expected-rq-timeout-ms":"1[0-4]\d\d\d"/, '"x-envoy-expected-rq-timeout-ms":"14xxx"')
      // Envoy writes a loopback client into x-forwarded-for as the machine's own address; Weft as what it is.
      .replace(/("x-forwarded-for":"(?:[^"]*,)?)(?!127\.0\.0\.1)[\d.]+"/, listener === "edge" ? '$1127.0.0.1"' : "$&"),
  };
}

async function both(listener: string, send: string): Promise<readonly [HttpAnswer, HttpAnswer]> {
  const [weft, envoy] = await Promise.all([sides.weft, sides.envoy].map((side) => rawExchange({ port: side.port(listener), send })));
  return [comparable(listener, weft?.text ?? ""), comparable(listener, envoy?.text ?? "")];
}

/** Answers that are knowingly not the same: Weft's first, Envoy's second. */
const DIFFERENT: readonly { readonly send: string; readonly statuses: readonly [number, number]; readonly why: string }[] = [
  {
    send: broken("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    statuses: [502, 101],
    why: "nobody asked to switch: what follows the 101 would be read as one protocol by the client and as another by the server",
  },
];

const KNOWN: readonly Difference[] = [
  ...KNOWN_DIFFERENCES,
  { stat: /downstream_cx_tx_bytes_total/, why: "x-envoy-upstream-service-time has as many digits as it took milliseconds" },
  { stat: /upstream_cx_tx_bytes_total/, why: "a chunked request body is cut into chunks anew" },
];

const FAMILY = /^(http\.(ingress|edge|timed)|cluster\.(?!apart)\w+|listener\.(ingress|edge|timed))\./;

const PROMETHEUS_FAMILY = /^envoy_(?!.*(_bucket|_sum)\{)(?!.*"(apart|admin)").*(cluster_name|manager_prefix|listener_address)=/;

describe("Weft's proxy and Envoy, from one bootstrap", { skip: skipWithoutEnvoy }, () => {
  before(async () => {
    backends = await startBackends();
    sides = await startSides((place) => httpBootstrap(place, backends));
  });
  after(() => {
    sides?.stop();
    backends?.stop();
  });

  for (const [group, requests, listener] of [
    ["routing", ROUTING, "ingress"],
    ["rewrites, redirects and header changes", CHANGING, "ingress"],
    ["bodies", BODIES, "ingress"],
    ["denials", DENIED, "ingress"],
    ["failures", FAILURES, "ingress"],
    ["a listener at the edge", EDGE, "edge"],
    ["timeouts", SLOW, "timed"],
  ] as const)
    describe(group, () => {
      for (const text of requests)
        it(title(text), async () => {
          const [weft, envoy] = await both(listener, text);
          assert.deepEqual(weft, envoy);
        });
    });

  for (const { send, statuses, why } of DIFFERENT)
    it(`answer knowingly otherwise: ${title(send)}: ${why}`, async () => {
      const [weft, envoy] = await both("apart", send);
      assert.deepEqual([weft.status, envoy.status], statuses);
    });

  for (const [what, send, resetAfterMs = 400] of [
    ["while it sends", "POST /body HTTP/1.1\r\nhost: any.test\r\ncontent-length: 10\r\n\r\nhello"],
    // Before the route's 200 ms are over.
    ["while it waits", "GET /slow HTTP/1.1\r\nhost: any.test\r\n\r\n", 100],
    ["in the middle of a head", "GET /exact HTTP/1.1\r\nhost: any"],
    ["before it says anything", ""],
  ] as const)
    it(`part alike with a client that goes away ${what}`, async () => {
      for (const side of [sides.weft, sides.envoy]) {
        await rawExchange({ port: side.port("ingress"), send, resetAfterMs });
        await rawExchange({ port: side.port("ingress"), send: [send, ""], end: true, silenceMs: 3_000 });
      }
    });

  it("have the same counters after this traffic", async () => {
    const { common, ...differences } = await settledComparison(sides, { of: statsOf, family: FAMILY, known: KNOWN });
    assert.deepEqual(differences, { unequal: [], onlyWeft: [], onlyEnvoy: [] });
    assert.ok(common > 150, `only ${common} counters in common`);
  });

  it("have the same names and labels for Prometheus", async () => {
    const { common, ...differences } = await settledComparison(sides, { of: prometheusOf, family: PROMETHEUS_FAMILY, known: KNOWN });
    assert.deepEqual(differences, { unequal: [], onlyWeft: [], onlyEnvoy: [] });
    assert.ok(common > 150, `only ${common} samples in common`);
  });

  it("show the same configuration at /config_dump, and it parses as Envoy's messages", async () => {
    const dumpOf = async (side: Side, query = ""): Promise<ConfigDump> =>
      fromJson(ConfigDumpSchema, JSON.parse(await side.admin(`/config_dump${query}`)) as JsonValue, {
        registry: envoyRegistry,
        ignoreUnknownFields: side.name === "envoy",
      });
    const [weft, envoy] = [await dumpOf(sides.weft), await dumpOf(sides.envoy)];
    assert.deepEqual(
      weft.configs.map(({ typeUrl }) => typeUrl),
      envoy.configs.map(({ typeUrl }) => typeUrl),
    );
    for (const schema of [ClustersConfigDumpSchema, ListenersConfigDumpSchema, RoutesConfigDumpSchema])
      assert.deepEqual(section(weft, schema, sides.weft), section(envoy, schema, sides.envoy));
    const [one, other] = [await dumpOf(sides.weft, "?resource=static_clusters"), await dumpOf(sides.envoy, "?resource=static_clusters")];
    assert.deepEqual(
      one.configs.map(({ typeUrl }) => typeUrl),
      other.configs.map(({ typeUrl }) => typeUrl),
    );
  });

  it("count the same per endpoint at /clusters", async () => {
    assert.deepEqual(clusterLines(await sides.weft.admin("/clusters")), clusterLines(await sides.envoy.admin("/clusters")));
    const json = fromJson(ClustersSchema, JSON.parse(await sides.weft.admin("/clusters?format=json")) as JsonValue);
    assert.equal(json.clusterStatuses.length, 8);
  });

  it("answer /ready, and filter /stats", async () => {
    for (const page of ["/ready", "/stats?filter=^cluster.backend.*rq_total$", "/stats?filter=^cluster.dead.upstream_rq_[0-9]&usedonly"])
      assert.equal(withoutHistograms(await sides.weft.admin(page)), withoutHistograms(await sides.envoy.admin(page)), page);
  });

  it("write the same lines into the access log", async () => {
    for (const log of ["access.log", "edge.log", "timed.log"]) {
      const [weft, envoy] = await bothLogs(sides, log);
      assert.deepEqual(weft, envoy);
    }
    const [weft, envoy] = await bothLogs(sides, "access.json");
    assert.deepEqual(weft.map(parsed), envoy.map(parsed));
  });
});

/** Of /clusters without what differs by chance: how many connections are open now, and the order of clusters. */
const clusterLines = (page: string): readonly string[] =>
  page
    .split("\n")
    .filter((line) => !/::cx_active::|^apart::/.test(line))
    .sort((a, b) => (a < b ? -1 : 1));

/** A dump's section by its type, with the paths and times of the side taken out and lists in an order of their own. */
function section(dump: ConfigDump, schema: DescMessage, side: Side): unknown {
  const found = dump.configs.find(({ typeUrl }) => typeUrl.endsWith(schema.typeName)) ?? assert.fail(`${side.name} has no ${schema.typeName}`);
  const message = anyUnpack(found, schema) ?? assert.fail(`${side.name}: ${schema.typeName} cannot be read`);
  const text = JSON.stringify(toJson(schema, message, { registry: envoyRegistry }))
    .replaceAll(side.folder, "FOLDER")
    .replace(/"lastUpdated":"[^"]*"/g, '"lastUpdated":"then"');
  const lists = JSON.parse(text) as Record<string, unknown[]>;
  return Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, list.map((one) => JSON.stringify(one)).sort((a, b) => (a < b ? -1 : 1))]));
}

const parsed = (line: string): unknown => JSON.parse(line);

/** Envoy prints quantiles there. */
const withoutHistograms = (page: string): string => page.replace(/^.*: (P\d|count |No recorded).*\n/gm, "");

/** The request line, and the headers that make it what it is. */
function title(text: string): string {
  const [line = "", ...headers] = text.split("\r\n");
  const told = headers.filter((header) => header !== "" && !/^(connection: close|host: any.test)$/.test(header));
  return [line.replace(/\/broken\/(\S+)/, (_, told: string) => JSON.stringify(Buffer.from(told, "base64url").toString("latin1"))), ...told]
    .join(" ")
    .slice(0, 160);
}
