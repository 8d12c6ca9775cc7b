/** A real Envoy takes every resource that the mesh compiler makes, over delta ADS as in a cluster. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { issueKeyPair, newMeshRoot } from "#ca/root.ts";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { compileProxy } from "#compile/xds/xds.ts";
import { realHost } from "#host/real/real.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { XDS_TYPES, type ProxyPlan } from "#model/plan/proxy-plan.ts";
import { adsBootstrap } from "./ads-bootstrap.ts";
import { withIdentity } from "./served-plan.ts";
import { ensureEnvoy } from "#tools/peers.ts";
import { startXds } from "#xds/xds.ts";

const host = realHost();
const testdata = new URL("../../src/compile/xds/testdata/", import.meta.url);
const envoy = ensureEnvoy();

function objectsOf(file: string): readonly KubeObject[] {
  const text = readFileSync(new URL(file, testdata), "utf8");
  return admitManifests(parseManifests(file, text.split(/^-- /m)[0] ?? "")).objects;
}

const base = objectsOf("base.yaml");
const cases = readdirSync(testdata).filter((name) => name.endsWith(".golden"));

/** Runs Envoy until it has answered for every type; answers what it refused. */
async function refusals(program: string, plan: ProxyPlan): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), "weft-envoy-"));
  const refused: string[] = [];
  const xds = startXds(host, {
    plans: { planOf: () => plan, onChange: () => ({ close: () => undefined }) },
    authorize: () => ({ proxy: "test" }),
    rejected: (_, type, message) => refused.push(`${type}: ${message}`),
  });
  const server = await host.rpc.serve({ address: { path: join(folder, "xds.sock") }, methods: xds.methods });
  writeFileSync(join(folder, "envoy.json"), JSON.stringify(adsBootstrap(join(folder, "xds.sock"))));
  // Only what it says of the configuration counts, so nothing is sent to it; a namespace of its own keeps its ports apart.
  const process = spawn("unshare", ["-Urn", program, "-c", join(folder, "envoy.json"), "--log-level", "warn", "--concurrency", "1", "--use-dynamic-base-id"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const output: string[] = [];
  process.stderr.on("data", (data: Buffer) => output.push(data.toString()));
  try {
    const types = [XDS_TYPES.cluster, XDS_TYPES.listener];
    for (const end = Date.now() + 30_000; ;) {
      const answered = xds.status().flatMap(({ types: of }) => of.filter(({ acknowledged, resources }) => acknowledged && resources > 0));
      if (refused.length > 0 || types.every((type) => answered.some(({ typeUrl }) => typeUrl === type))) break;
      if (Date.now() > end || process.exitCode !== null)
        throw new Error(`Envoy did not answer: ${output.join("").slice(-2000)} ${JSON.stringify(xds.status())}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    return refused;
  } finally {
    process.kill("SIGKILL");
    xds.stop();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("a real Envoy accepts", { skip: "missing" in envoy ? `no Envoy here: ${envoy.install}` : false }, () => {
  for (const file of cases) {
    it(`the plans of ${file}`, { timeout: 60_000 }, async () => {
      const program = "path" in envoy ? envoy.path : "";
      const root = await newMeshRoot(host);
      const leaf = await issueKeyPair(host, root, { uris: ["spiffe://cluster.local/ns/shop/sa/web"], usages: ["server", "client"], lifetimeMs: 3_600_000 });
      const text = readFileSync(new URL(file, testdata), "utf8");
      const world = imagineWorld([...base, ...objectsOf(file)]);
      const part = /^# proxy: (.*)$/m.exec(text)?.[1] ?? "web";
      const pod = [...(world.Pod?.values() ?? [])].find(({ metadata }) => metadata.name.includes(part)) ?? assert.fail(`no pod ${part}`);
      const plan = compileProxy(world, objectKey(pod)) ?? assert.fail("no plan");
      assert.deepEqual(await refusals(program, withIdentity(plan, leaf, root.certificate)), []);
    });
  }
});
