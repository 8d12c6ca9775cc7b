/** The image that is tested: made of this checkout, and given to the nodes. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { VERSION } from "#cli/version.ts";
import { root, runCommand } from "#tools/run-command.ts";
import type { KubernetesCluster } from "./cluster.ts";
import { progress } from "./progress.ts";

const ARCHIVE = join(root, "dist/weft-image.tar");
/** What the image is made of. */
const SOURCES = ["src", "tools/image", "package-lock.json"];

/** Its name as pods say it. A cluster without access to its nodes must be able to pull WEFT_TEST_IMAGE. */
export async function provideWeftImage(cluster: KubernetesCluster): Promise<string> {
  const given = process.env["WEFT_TEST_IMAGE"];
  if (given !== undefined) return given;
  if (cluster.nodes === undefined)
    throw new Error("WEFT_TEST_IMAGE is not set: push dist/weft-image.tar (npm run image) where this cluster pulls from, and name it there");
  if (isStale()) {
    progress("making dist/weft-image.tar");
    const { status, output } = await runCommand([process.execPath, join(root, "tools/image/image.ts")]);
    if (status !== 0) throw new Error(`npm run image ended with ${status}: ${output.trim().split("\n").slice(-5).join("\n")}`);
  }
  progress("giving the image to both nodes");
  await cluster.nodes.importImages(ARCHIVE);
  return `localhost/weft:${VERSION}`;
}

function isStale(): boolean {
  if (!existsSync(ARCHIVE)) return true;
  const made = statSync(ARCHIVE).mtimeMs;
  return SOURCES.some((path) => newestIn(join(root, path)) > made);
}

function newestIn(path: string): number {
  const { mtimeMs } = statSync(path);
  if (!statSync(path).isDirectory()) return mtimeMs;
  return Math.max(mtimeMs, ...readdirSync(path).map((name) => newestIn(join(path, name))));
}
