/**
 * Cases as files: manifests on top (over those of base.yaml, when the case says so), then what the compiler makes of them.
 *   # proxy: web         the Pod, by a part of its name
 *   # with: base.yaml
 *   # show: routes/8080  which resources
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { goldenCases } from "#compile/test-golden.ts";
import { fromBinary, toJson, type JsonValue } from "@bufbuild/protobuf";
import { stringify } from "yaml";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { XDS_TYPES, type EncodedResource } from "#model/plan/proxy-plan.ts";
import { envoyRegistry } from "#wire/envoy/gen/registry.ts";
import { compileProxy } from "./xds.ts";

const folder = new URL("testdata/", import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, folder), "utf8");

function answer(input: string): string {
  const setting = (name: string): string[] => [...input.matchAll(new RegExp(`^# ${name}: (.*)$`, "gm"))].map((found) => found[1] ?? "");
  const files = [...setting("with").map((file) => [file, read(file)] as const), ["case", input] as const];
  const admitted = files.map(([file, text]) => admitManifests(parseManifests(file, text)));
  assert.deepEqual(
    admitted.flatMap(({ problems }) => problems),
    [],
  );
  const world = imagineWorld(admitted.flatMap(({ objects }) => objects));
  const [part = ""] = setting("proxy");
  const proxy = [...(world.Pod?.keys() ?? [])].find((key) => key.includes(part)) ?? assert.fail(`no pod ${part}`);
  const plan = compileProxy(world, proxy);
  const sections = setting("show").map((wanted) => {
    const [type = "", ...name] = wanted.split("/");
    const url = XDS_TYPES[type as keyof typeof XDS_TYPES];
    return `-- ${wanted} --\n${shown(url, plan?.resources.get(url)?.get(name.join("/")))}`;
  });
  return sections.join("");
}

function shown(url: string, resource: EncodedResource | undefined): string {
  const schema = envoyRegistry.getMessage(url.slice(url.indexOf("/") + 1)) ?? assert.fail(`no type ${url}`);
  if (resource === undefined) return "absent\n";
  return stringify(brief(toJson(schema, fromBinary(schema, resource.bytes), { registry: envoyRegistry })), { lineWidth: 160, flowCollectionPadding: false });
}

/** Access logs and where to get things from are the same everywhere; types are told by their last word. */
function brief(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(brief);
  if (typeof value !== "object" || value === null) return value;
  if ("ads" in value) return "ads";
  const entries = Object.entries(value).filter(([key]) => key !== "accessLog");
  return Object.fromEntries(
    entries.map(([key, inner]) => (key === "@type" && typeof inner === "string" ? [key, inner.replace(/^.*\./, "")] : [key, brief(inner)])),
  );
}

goldenCases("xDS", folder, answer);
