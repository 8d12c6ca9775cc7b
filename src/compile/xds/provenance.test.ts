/** Everything in a plan names the object and field it came from; what every proxy has anyway is named here. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fromBinary, toJson, type JsonValue } from "@bufbuild/protobuf";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { objectKey } from "#model/object.ts";
import { parseProvenance } from "#model/provenance.ts";
import { makeWorld } from "#model/world.ts";
import { envoyRegistry } from "#wire/envoy/gen/registry.ts";
import { compileProxy } from "./xds.ts";

const read = (file: string) => admitManifests(parseManifests(file, readFileSync(new URL(`testdata/${file}`, import.meta.url), "utf8"))).objects;
const imagined = imagineWorld(read("base.yaml"));
const baseObjects = Object.values(imagined).flatMap((objects) => [...(objects as ReadonlyMap<string, (typeof written)[number]>).values()]);
const written = read("variants.yaml");
/** Of several ways to write an object the first. */
const world = makeWorld(
  new Map([...baseObjects, ...written.toReversed()].map((object) => [`${object.apiVersion} ${object.kind} ${objectKey(object)}`, object])).values(),
);

/** Made by no object: what is in every mesh, and what sidecars have for all services of a port (the routes behind it are theirs). */
const everywhere =
  /^(0\.0\.0\.0_\d+|PassthroughCluster|BlackHoleCluster|InboundPassthroughCluster|virtualOutbound.*|virtualInbound-blackhole|virtualInbound-catchall.*|allow_any)$/;

interface Part {
  readonly path: string;
  readonly name: string;
  readonly by: string | undefined;
}

/** Parts that decide something: chains, virtual hosts, routes, clusters, endpoints, policies. */
function partsIn(value: JsonValue | undefined, path: string): readonly Part[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => partsIn(item, `${path}[${i}]`));
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.entries(value).flatMap(([key, item]) => partsIn(item, `${path}.${key}`));
  const policies =
    typeof value["policies"] === "object" ? Object.keys(value["policies"] ?? {}).map((name) => ({ path: `${path}.policies`, name, by: name })) : [];
  if (!/(filterChains|virtualHosts|routes|lbEndpoints)\[\d+\]$/.test(path)) return [...policies, ...inner];
  return [...policies, { path, name: typeof value["name"] === "string" ? value["name"] : "", by: byOf(value) }, ...inner];
}

function byOf(value: JsonValue | undefined): string | undefined {
  const { metadata } = value as { metadata?: { filterMetadata?: Record<string, { by?: string }> } };
  return metadata?.filterMetadata?.["weft.dev"]?.by;
}

test("every part of every plan names an object and a field that are there", () => {
  let checked = 0;
  for (const pod of world.Pod?.keys() ?? []) {
    for (const [url, resources] of compileProxy(world, pod)?.resources ?? []) {
      for (const { name, bytes, by } of resources.values()) {
        const schema = envoyRegistry.getMessage(url.slice(url.indexOf("/") + 1)) ?? assert.fail(url);
        const message = toJson(schema, fromBinary(schema, bytes), { registry: envoyRegistry });
        const whole = url.endsWith("Cluster") ? [{ path: name, name, by: byOf(message) }] : [];
        for (const part of [...whole, ...partsIn(message, name)]) {
          if (everywhere.test(part.name)) continue;
          const provenance = part.by === undefined ? undefined : parseProvenance(part.by);
          assert.ok(provenance, `${pod}: ${part.path} (${part.name}) says where it came from: ${part.by}`);
          const { kind, namespace, name: object } = provenance;
          const exists = [...baseObjects, ...written].some(
            (each) => each.kind === kind && objectKey(each) === (namespace === undefined ? object : `${namespace}/${object}`),
          );
          assert.ok(exists, `${pod}: ${part.path} names ${part.by}`);
          checked += 1;
        }
        if (by !== undefined) assert.ok(parseProvenance(`${by.kind} ${by.namespace ?? ""}/${by.name} ${by.field}`));
      }
    }
  }
  assert.ok(checked > 150, `${checked} parts`);
});
