/** Writes charts/weft from what `weft install` prints; a test says when that is due. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { chartFiles } from "./chart/chart-files.ts";
import { root } from "./run-command.ts";

const folder = join(root, "charts", "weft");
rmSync(folder, { recursive: true, force: true });
for (const [path, text] of chartFiles()) {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
console.log(`chart: ${chartFiles().size} files in ${folder}`);
