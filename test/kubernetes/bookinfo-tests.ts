/** Upstream's Bookinfo on Kubernetes, as Istio's users apply it. */
import { readFileSync } from "node:fs";
import { after, before, describe } from "node:test";
import { applyExample, openWorld, podsReady, provideImages, removeExample } from "#tools/kubernetes/demo-world.ts";
import { file, missing, PODS, upstreamBookinfo, type BookinfoWorld } from "../bookinfo/upstream.ts";
import type { Running } from "./shared-tests.ts";

export function upstreamBookinfoHolds(cluster: Running): void {
  describe("upstream's Bookinfo", { skip: missing }, () => {
    let world: BookinfoWorld;
    before(async () => {
      await removeExample(cluster());
      await cluster().get("label", "--overwrite", "namespace", "default", "istio-injection=enabled");
      await provideImages(
        cluster(),
        PODS.map((path) => readFileSync(path, "utf8")),
      );
      await applyFiles(cluster, PODS);
      await podsReady(cluster(), "default");
      world = await openBookinfo(cluster);
    });
    upstreamBookinfo(() => world);
    after(async () => {
      await removeFiles(cluster, [...PODS, file("gateway-api/bookinfo-gateway.yaml")]);
      await cluster().get("-n", "default", "delete", "virtualservices,destinationrules,httproutes", "--all");
      await applyExample(cluster());
    });
  });
}

async function openBookinfo(cluster: Running): Promise<BookinfoWorld> {
  const { gateway } = await openWorld(cluster());
  return {
    gateway,
    // A real API server does not know what Weft leaves out of a resource; its status tells.
    warns: false,
    apply: async (...files) => {
      await applyFiles(cluster, files);
      return [];
    },
    remove: (...files) => removeFiles(cluster, files),
    get: async <T>(path: string) => JSON.parse(await cluster().get("get", "--raw", path)) as T,
    async statusFromOutside(url) {
      const { stdout } = await cluster().run(["curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", url]);
      return stdout;
    },
  };
}

async function applyFiles(cluster: Running, files: readonly string[]): Promise<void> {
  await cluster().get("-n", "default", "apply", ...files.flatMap((path) => ["-f", path]));
}

async function removeFiles(cluster: Running, files: readonly string[]): Promise<void> {
  await cluster().get("-n", "default", "delete", "--ignore-not-found", ...files.flatMap((path) => ["-f", path]));
}
