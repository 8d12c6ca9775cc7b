/** The chart is as generated, and Helm makes of it what `weft install` prints. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { installManifests } from "#compile/install/install.ts";
import { describeObject, type Manifest } from "#compile/install/manifest.ts";
import type { InstallSettings } from "#compile/install/settings.ts";
import { manifestsYaml } from "#compile/install/yaml.ts";
import { KUBERNETES_DEFAULTS, type KubernetesConfig } from "#model/kubernetes-config.ts";
import { VERSION } from "#cli/version.ts";
import { ensureHelm } from "#tools/peers.ts";
import { root } from "#tools/run-command.ts";
import { chartFiles } from "./chart-files.ts";

const folder = join(root, "charts", "weft");

test("the chart is what npm run chart writes", () => {
  const files = chartFiles();
  const there = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.equal(there.length, files.size, "npm run chart");
  for (const [path, text] of files) {
    const file = join(folder, path);
    assert.ok(existsSync(file) && readFileSync(file, "utf8") === text, `${path} is not as generated: npm run chart`);
  }
});

const cluster = { serviceCIDR: "172.30.0.0/16", podCIDR: "10.0.0.0/8", dnsAddress: "172.30.0.10", apiServer: "https://192.168.0.1:6443" };

interface Case {
  readonly name: string;
  readonly set: readonly string[];
  readonly config?: Partial<KubernetesConfig>;
  readonly settings?: Partial<InstallSettings>;
}

const cases: readonly Case[] = [
  { name: "profile full", set: [] },
  { name: "profile mesh", set: ["profile=mesh"], config: { profile: "mesh" } },
  {
    name: "everything set",
    set: [
      "image=example.org/weft:2",
      "imagePullPolicy=Always",
      "vni=16777215",
      "loadBalancerCIDR=203.0.113.0/24",
      "control.replicas=3",
      "gateway.replicas=2",
      "gateway.serviceType=NodePort",
      "gateway.allSecrets=true",
      "crds.install=false",
      "dns.service=false",
    ],
    config: { image: "example.org/weft:2", vni: 16777215, loadBalancerCIDR: "203.0.113.0/24" },
    settings: {
      imagePullPolicy: "Always",
      control: { replicas: 3 },
      gateway: { install: true, replicas: 2, serviceType: "NodePort", allSecrets: true },
      crds: { install: false },
      dns: { service: false },
    },
  },
  {
    name: "without the gateway",
    set: ["gateway.install=false"],
    settings: { gateway: { install: false, replicas: 1, serviceType: "LoadBalancer", allSecrets: false } },
  },
];

function settingsOf({ config, settings }: Case): InstallSettings {
  return {
    version: VERSION,
    imagePullPolicy: "IfNotPresent",
    control: { replicas: 2 },
    gateway: { install: true, replicas: 1, serviceType: "LoadBalancer", allSecrets: false },
    crds: { install: true },
    dns: { service: true },
    ...settings,
    config: { ...KUBERNETES_DEFAULTS, image: `localhost/weft:${VERSION}`, ...cluster, ...config },
  };
}

/** By name; as they are once their YAML is read, aliases and all. */
function objectsIn(yaml: string): ReadonlyMap<string, Manifest> {
  const documents = parseAllDocuments(yaml);
  const objects = (Array.isArray(documents) ? documents : []).map((document) => document.toJS({ maxAliasCount: 1000 }) as Manifest | null);
  return new Map(objects.filter((object) => object !== null).map((object) => [describeObject(object), object]));
}

const helm = ensureHelm({ build: process.env["WEFT_TEST_LONG"] === "1" });

describe("Helm", { skip: "missing" in helm ? `SKIPPED: no helm; ${helm.install}` : false }, () => {
  const program = "path" in helm ? helm.path : "";
  const render = (set: readonly string[]): string =>
    execFileSync(program, ["template", "weft", folder, ...set.flatMap((each) => ["--set", each])], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 64 * 1024 * 1024,
    });
  const given = Object.entries(cluster).map(([key, value]) => `${key}=${value}`);

  for (const each of cases) {
    test(`renders what weft install prints: ${each.name}`, () => {
      const rendered = objectsIn(render([...given, ...each.set]));
      const printed = objectsIn(manifestsYaml(installManifests(settingsOf(each))));
      assert.deepEqual([...rendered.keys()].sort(), [...printed.keys()].sort());
      for (const [name, object] of printed) assert.deepEqual(rendered.get(name), object, name);
    });
  }

  test("a value that must be set is asked for", () => {
    assert.throws(() => render(given.slice(1)), /serviceCIDR must be set/);
  });

  test("a misspelt value is refused", () => {
    assert.throws(() => render([...given, "gateway.replica=2"]), /replica/);
  });
});
