/** Rewrites the golden files of the compilers from what they give now; the diff is to be reviewed. */
import { runCommand } from "./run-command.ts";

const result = await runCommand([process.execPath, "--test", "--test-update-snapshots", "src/compile/**/*.test.ts", "src/decide/**/*.test.ts"], {
  inherit: true,
  env: { WEFT_GOLDEN: "write" },
});
process.exitCode = result.status;
