/**
 * `npm run image [-- --name REFERENCE] [--output FILE]`: dist/weft-image.tar, the one image of Weft for Kubernetes nodes. Made
 * without a container engine and without running anything of it: the same commit, dependencies and Debian packages give
 * the same bytes. Load it with `ctr -n k8s.io images import`, `docker load -i` or `skopeo copy oci-archive:`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundleForImage, IMAGE_PROGRAMS } from "#cli/up/bundled-programs.ts";
import { VERSION } from "#cli/version.ts";
import { realHost } from "#host/real/real.ts";
import { root } from "#tools/run-command.ts";
import { baseLayer, USER } from "./base-layer.ts";
import { ociArchive } from "./oci-archive.ts";
import { cniRuntimeLinks, programLayer } from "./program-layer.ts";

const HELP = `npm run image -- [--name REFERENCE] [--output FILE]

Makes the image that Weft runs from on Kubernetes, as an archive that container engines load.

  --name REFERENCE   with a registry and a tag (default localhost/weft:${VERSION})
  --output FILE      (default dist/weft-image.tar)

Then, on each node or wherever the nodes pull from:
  ctr -n k8s.io images import dist/weft-image.tar
`;

/** So that a node's disk and its first start stay cheap; nearly all of it is Node. */
const LIMIT_MB = 180;
const MB = 1e6;
const REFERENCE = /^(?<registry>localhost|[^/]*[.:][^/]*)\/[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      name: { type: "string", default: `localhost/weft:${VERSION}` },
      output: { type: "string", default: join(root, "dist/weft-image.tar") },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const { name } = values;
  if (!REFERENCE.test(name))
    throw new Error(`--name ${name}: give registry and tag, such as localhost/weft:${VERSION}; nodes would add a registry of their own`);
  if (process.arch !== "x64") throw new Error(`images are made for x86-64, and on it; this machine is ${process.arch}`);
  const output = resolve(values.output);
  step(`bundling ${IMAGE_PROGRAMS.length + 1} programs`);
  const bundles = mkdtempSync(join(tmpdir(), "weft-image-"));
  try {
    await bundleForImage(realHost(), { sourceRoot: root, into: bundles });
    step("collecting Node, nft and their libraries");
    const base = baseLayer(root);
    step("packing");
    const archive = ociArchive({
      name,
      architecture: "amd64",
      config: {
        User: `${USER}:${USER}`,
        Env: ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/opt/weft/home", "NODE_ENV=production"],
        Entrypoint: ["/usr/local/bin/weft"],
        WorkingDir: "/",
        Labels: { "org.opencontainers.image.title": "weft", "org.opencontainers.image.version": VERSION, "org.opencontainers.image.licenses": "Apache-2.0" },
      },
      layers: [
        { what: "Node, nft and their libraries", entries: [...base.entries, ...cniRuntimeLinks(base.runtime)] },
        { what: `Weft ${VERSION}`, entries: programLayer(bundles, base.runtime) },
      ],
    });
    if (archive.bytes.length > LIMIT_MB * MB) throw new Error(`the image has ${megabytes(archive.bytes.length)}, and at most ${LIMIT_MB} MB are wanted`);
    mkdirSync(dirname(output), { recursive: true });
    writeFileSync(output, archive.bytes);
    for (const { what, digest, sizeBytes } of archive.layers) step(`layer ${megabytes(sizeBytes).padStart(8)}  ${digest.slice(0, 19)}  ${what}`);
    step(`image ${megabytes(archive.bytes.length).padStart(8)}  ${archive.digest.slice(0, 19)}  ${name}`);
    process.stdout.write(`${output}\n`);
  } finally {
    rmSync(bundles, { recursive: true, force: true });
  }
}

function step(text: string): void {
  process.stderr.write(`image: ${text}\n`);
}

function megabytes(bytes: number): string {
  return `${(bytes / MB).toFixed(1)} MB`;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`image: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
