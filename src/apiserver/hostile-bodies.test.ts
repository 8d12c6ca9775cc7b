/** Whatever a body says, the server answers a Status with 4xx (or does what was asked), and goes on. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { kindIds, KINDS, storedApiVersion } from "#model/kinds.ts";
import type { SchemaFacts } from "#model/schema.ts";
import { startTestServer, type Answer, type TestServer } from "./test-server.ts";

const maps = "/api/v1/namespaces/default/configmaps";
const deep = (levels: number, inner = "1") => `${'{"a":'.repeat(levels)}${inner}${"}".repeat(levels)}`;
const map = (more: string) => `{"metadata":{"name":"m"},${more}}`;

describe("hostile bodies", () => {
  const bugs: string[] = [];
  let server: TestServer;

  before(async () => {
    server = await startTestServer({ onBug: (error, what) => bugs.push(`${what}: ${error instanceof Error ? (error.stack ?? "") : String(error)}`) });
    await server.call("POST", maps, { metadata: { name: "target" }, data: { a: "1" } });
  });
  after(() => server.stop());

  function isRefusal({ status, body }: Answer, what: string): void {
    assert.deepEqual(bugs, [], what);
    assert.ok(status >= 400 && status < 500, `${what}: ${status} ${JSON.stringify(body)}`);
    assert.equal(body["kind"], "Status", what);
    assert.equal(body["code"], status, what);
    assert.notEqual(body["message"] ?? "", "", what);
  }

  const refused: readonly { readonly name: string; readonly body: string | Uint8Array; readonly type?: string; readonly says: RegExp }[] = [
    { name: "nothing", body: "", says: /the body must be an object of kind ConfigMap/ },
    { name: "broken JSON", body: '{"metadata":', says: /couldn't parse the body as JSON/ },
    { name: "not UTF-8", body: new Uint8Array([0x7b, 0xff, 0x7d]), says: /is not UTF-8/ },
    { name: "an array", body: "[]", says: /must be an object of kind ConfigMap/ },
    { name: "null", body: "null", says: /must be an object of kind ConfigMap/ },
    { name: "deep nesting", body: map(`"data":${deep(200_000)}`), says: /nested more than 500 levels/ },
    { name: "deep nesting of arrays", body: `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`, says: /nested more than 500 levels/ },
    { name: "a huge number", body: map('"data":{"a":1e999}'), says: /cannot unmarshal number into Go struct field ConfigMap\.data of type string/ },
    {
      name: "a string where metadata belongs",
      body: '{"metadata":"x"}',
      says: /cannot unmarshal string into Go struct field ConfigMap\.metadata of type v1\.ObjectMeta/,
    },
    { name: "another kind", body: '{"kind":"Secret"}', says: /kind in the data \(Secret\) does not match/ },
    { name: "another version", body: '{"apiVersion":"v2"}', says: /API version in the data \(v2\) does not match/ },
    { name: "a key called __proto__ in a map", body: '{"metadata":{"name":"m"},"data":{"__proto__":{"a":"1"}}}', says: /cannot unmarshal object/ },
    { name: "YAML with aliases that multiply", type: "application/yaml", body: laughs(12), says: /Excessive alias count|alias/ },
    { name: "deep YAML", type: "application/yaml", body: "[".repeat(100_000), says: /yaml: / },
    { name: "YAML with tabs", type: "application/yaml", body: "metadata:\n\tname: x", says: /yaml: / },
    { name: "an unknown format", type: "text/plain", body: "{}", says: /in an unknown format/ },
    { name: "too much", body: map(`"data":{"a":"${"x".repeat(4_000_000)}"}`), says: /too large/ },
    { name: "broken protobuf", type: "application/vnd.kubernetes.protobuf", body: "k8s\u0000\u00ff\u00ff", says: /./ },
  ];
  for (const { name, body, type, says } of refused) {
    test(`${name} is refused in words`, async () => {
      const answer = await server.call("POST", maps, body, type === undefined ? {} : { type });
      isRefusal(answer, name);
      assert.match(answer.body["message"] ?? "", says);
    });
  }

  test("patches that multiply or nest without end are refused", async () => {
    const patch = (body: unknown, type: string) => server.call("PATCH", `${maps}/target`, body, { type });
    const copies = Array.from({ length: 60 }, (_, i) => ({ op: "copy", from: "/data", path: `/data/x${i}` }));
    isRefusal(await patch(copies, "application/json-patch+json"), "copies");
    const nests = Array.from({ length: 30 }, () => ({ op: "copy", from: "", path: "/data/a" }));
    isRefusal(await patch(nests, "application/json-patch+json"), "copies of the whole");
    isRefusal(await patch(`{"data":${deep(100_000)}}`, "application/merge-patch+json"), "deep merge patch");
    isRefusal(await patch(`{"data":${deep(100_000)}}`, "application/strategic-merge-patch+json"), "deep strategic patch");
    isRefusal(await patch({ $patch: "nonsense" }, "application/strategic-merge-patch+json"), "unknown directive");
    isRefusal(await patch([], "application/merge-patch+json"), "a list as merge patch");
    isRefusal(await patch("x: [", "application/apply-patch+yaml"), "broken apply patch");
    isRefusal(await patch({}, "application/octet-stream"), "unknown patch type");
    assert.deepEqual((await server.call("GET", `${maps}/target`)).body["data"], { a: "1" });
  });

  test("field names of JavaScript's objects are unknown fields, and change nothing", async () => {
    const body = '{"metadata":{"name":"proto","labels":{"a":"b"}},"constructor":{"x":1},"__proto__":{"y":1},"toString":1}';
    const strict = await server.call("POST", `${maps}?fieldValidation=Strict`, body);
    isRefusal(strict, "strict");
    for (const name of ["constructor", "__proto__", "toString"]) assert.match(strict.body["message"] ?? "", new RegExp(`unknown field "${name}"`));
    const warned = await server.call("POST", maps, body);
    assert.equal(warned.status, 201);
    assert.ok(!Object.hasOwn(warned.body, "constructor"));
    assert.equal(({} as { y?: number }).y, undefined);
    const selected = await server.call("GET", `${maps}?labelSelector=constructor`);
    assert.deepEqual(selected.body["items"], []);
  });

  test("a field that stands twice warns, is refused when strict, and the last one counts", async () => {
    const twice = '{"metadata":{"name":"twice","name":"twice","labels":{"a":"1","a":"2"}},"data":{"k":"{\\"k\\":1,\\"k\\":2}"}}';
    const strict = await server.call("POST", `${maps}?fieldValidation=Strict`, twice);
    isRefusal(strict, "strict");
    assert.match(strict.body["message"] ?? "", /strict decoding error: duplicate field "metadata\.name", duplicate field "metadata\.labels\.a"$/);
    const warned = await server.call("POST", maps, twice);
    assert.equal(warned.status, 201);
    assert.equal(warned.headers["warning"], '299 - "duplicate field \\"metadata.name\\"", 299 - "duplicate field \\"metadata.labels.a\\""');
    assert.deepEqual(warned.body["metadata"]?.["labels"], { a: "2" });
    const yaml = await server.call("POST", `${maps}?fieldValidation=Strict`, "metadata: {name: y}\ndata: {a: '1', a: '2'}", { type: "application/yaml" });
    isRefusal(yaml, "yaml");
    assert.match(yaml.body["message"] ?? "", /duplicate field "a"/);
  });

  test("paths and queries that make no sense are refused", async () => {
    const paths = [
      ...["//", "/api/v1/namespaces/%zz/pods", "/api/v1/pods/__proto__", "/apis/constructor/v1/x", `${maps}?limit=x`, `${maps}?limit=-1`, `${maps}?continue=x`],
      ...[
        `${maps}?resourceVersion=x`,
        `${maps}?labelSelector=(((`,
        `${maps}?fieldSelector=a`,
        `${maps}?fieldSelector=spec.x=1`,
        `${maps}?watch=1&resourceVersion=-`,
      ],
    ];
    for (const path of paths.filter((each) => !/%zz/.test(each))) isRefusal(await server.call("GET", path), path);
    for (const path of [`${maps}/target?gracePeriodSeconds=x`, `${maps}/target?propagationPolicy=Whatever`]) isRefusal(await server.call("DELETE", path), path);
    isRefusal(await server.call("POST", `${maps}?fieldValidation=Maybe`, {}), "fieldValidation");
    isRefusal(await server.call("POST", `${maps}?dryRun=Some`, { metadata: { name: "x" } }), "dryRun");
  });

  test("no object of any kind, however its fields are filled, makes the server fail", async () => {
    const long = process.env["WEFT_TEST_LONG"] === "1";
    const seed = process.env["WEFT_TEST_SEED"];
    const tally = new Map<number, number>();
    const run = fc.asyncProperty(fc.constantFrom(...kindIds), fc.integer(), async (id, choices) => {
      const info = KINDS[id];
      const next = numbers(choices);
      const object = { ...(nonsense(info.schema, next, 0) as object), apiVersion: storedApiVersion(info), kind: info.kind };
      const base = `${info.group === "" ? "/api" : `/apis/${info.group}`}/${info.versions[0] ?? ""}${info.namespaced ? "/namespaces/default" : ""}/${info.plural}`;
      const answer = await server.call("POST", base, object);
      tally.set(answer.status, (tally.get(answer.status) ?? 0) + 1);
      if (answer.status !== 201) return isRefusal(answer, `${base} ${JSON.stringify(object)}`);
      const name = String(answer.body["metadata"]?.["name"]);
      for (const form of ["application/json;as=Table;v=v1;g=meta.k8s.io", "application/json"]) {
        const read = await server.call("GET", `${base}/${name}`, undefined, { accept: form });
        assert.deepEqual(bugs, [], JSON.stringify(object));
        assert.equal(read.status, 200);
      }
      await server.call("DELETE", `${base}/${name}`, { gracePeriodSeconds: 0 });
    });
    await fc.assert(run, { numRuns: long ? 5000 : 400, ...(seed === undefined ? {} : { seed: Number(seed) }) });
    assert.ok((tally.get(201) ?? 0) > 20 && (tally.get(422) ?? 0) > 20, `too few were created or refused to say much: ${JSON.stringify([...tally])}`);
  });
});

/** A value for a schema that mostly fits and sometimes not. */
function nonsense(schema: SchemaFacts, next: () => number, depth: number): unknown {
  const odd = [null, 0, -1, 1e300, "", "x", "\u0000", "a".repeat(300), [], [[]], {}, { a: {} }, true, [null], "1.2.3.4", "::", "10.0.0.0/99"];
  if (next() < 0.015) return odd[Math.floor(next() * odd.length)];
  if (schema.enum !== undefined) return schema.enum[Math.floor(next() * schema.enum.length)];
  switch (schema.type) {
    case "object": {
      const names = Object.entries(schema.properties ?? {}).filter(
        ([name]) => schema.required?.includes(name) === true || name === "metadata" || next() < 0.5 / (depth + 1),
      );
      const fields = names.map(([name, field]) => [name, name === "metadata" && depth === 0 ? metadata(next) : nonsense(field, next, depth + 1)] as const);
      if (schema.additionalProperties !== undefined) fields.push([next() < 0.1 ? "__proto__" : "key", nonsense(schema.additionalProperties, next, depth + 1)]);
      return Object.fromEntries(fields);
    }
    case "array":
      return Array.from({ length: Math.floor(next() * 3) }, () => nonsense(schema.items ?? {}, next, depth + 1));
    case "integer":
    case "number":
      return Math.floor(next() * 100) - 2;
    case "boolean":
      return next() < 0.5;
    default: {
      const texts = ["a", "web", "80", "10.0.0.1", "10.0.0.0/8", "1s", "Same", "100m", "a.b", "*", "a/b"];
      return texts[Math.floor(next() * texts.length)];
    }
  }
}

/** Marsaglia's xorshift32: evenly spread numbers in [0, 1), which fast-check's own are not. */
function numbers(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

function metadata(next: () => number): unknown {
  return { name: `n${Math.floor(next() * 1e9)}`, ...(next() < 0.2 ? { labels: { "a/b": "c" }, annotations: { x: "y" }, finalizers: [] } : {}) };
}

/** "Billion laughs": each anchor names the one before nine times. */
function laughs(levels: number): string {
  const lines = ["a0: &a0 [x]"];
  for (let i = 1; i < levels; i++)
    lines.push(
      `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(",")}]`,
    );
  return lines.join("\n");
}
