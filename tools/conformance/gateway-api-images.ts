/**
 * Images that the suite's manifests name and nobody has here: the mesh tests' echo server is ours (echo-advanced/), and the name server of
 * UDP tests, which are not run, is one that does nothing.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TarEntry } from "#tools/image/tar.ts";
import { ociArchive, type ImageDescription } from "#tools/image/oci-archive.ts";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import { baseEntries } from "#tools/kubernetes/example-images.ts";
import { root } from "#tools/run-command.ts";

const ECHO = /^[^/]+\/gateway-api\/echo-advanced:/;
const NAME_SERVER = /\/coredns:/;

/** Files of the image, by where they are there. */
const FILES = { "echo/server.ts": "server.ts", "echo/client.ts": "client.ts" } as const;

export async function provideSuiteImages({ nodes }: KubernetesCluster, suite: string): Promise<void> {
  if (nodes === undefined) return;
  const base = baseEntries();
  const [first, ...others] = imagesOf(suite).flatMap((name) => {
    if (ECHO.test(name)) return [image(name, base, ["/usr/bin/node", "/echo/server.ts"])];
    return NAME_SERVER.test(name) ? [image(name, base, ["/usr/bin/sh", "-c", "while :; do sleep 3600; done"])] : [];
  });
  if (first === undefined) throw new Error(`${suite} names no image that has to be made here: its manifests are others than those of v1.6.1`);
  const folder = mkdtempSync(join(tmpdir(), "weft-gateway-api-"));
  writeFileSync(join(folder, "images.tar"), ociArchive(first, ...others).bytes);
  await nodes.importImages(join(folder, "images.tar"));
  rmSync(folder, { recursive: true, force: true });
}

/** Its manifests are inside the program. */
function imagesOf(suite: string): readonly string[] {
  const text = readFileSync(suite).toString("latin1");
  return [...new Set([...text.matchAll(/image: ([a-z0-9.-]+\/[a-z0-9/-]+:v[a-z0-9.-]+)/g)].map(([, name]) => name ?? ""))];
}

function image(name: string, base: readonly TarEntry[], entrypoint: readonly string[]): ImageDescription {
  const folder = join(root, "tools/conformance/echo-advanced");
  const entries: TarEntry[] = Object.entries(FILES).map(([path, file]) => ({ path, kind: "file", mode: 0o644, bytes: readFileSync(join(folder, file)) }));
  entries.push({ path: "echo/package.json", kind: "file", mode: 0o644, bytes: Buffer.from('{"type":"module"}') });
  entries.push({ path: "usr/bin/client", kind: "file", mode: 0o755, bytes: Buffer.from('#!/bin/sh\nexec /usr/bin/node /echo/client.ts "$@"\n') });
  return {
    name,
    architecture: "amd64",
    config: { User: "1000:1000", Env: ["PATH=/usr/bin"], Entrypoint: entrypoint, WorkingDir: "/", Labels: {} },
    layers: [
      { what: "programs of this machine", entries: base },
      { what: "the echo server", entries },
    ],
  };
}
