import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { watch, watchByLooking } from "./file-watch.ts";

/** Both ways must see the same changes. */
for (const [way, start] of Object.entries({ inotify: watch, "looking again": watchByLooking })) {
  test(`${way} sees a file that is made, written to, replaced and removed, and what happens in a folder`, { timeout: 20_000 }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "weft-watch-"));
    const file = join(folder, "file");
    let wake: () => void = () => undefined;
    const watching = [file, folder].map((path) => start(path, () => wake()));
    t.after(() => {
      for (const one of watching) one.close();
      rmSync(folder, { recursive: true });
    });
    const steps = [
      () => writeFileSync(file, "a"),
      () => appendFileSync(file, "b"),
      () => {
        writeFileSync(join(folder, "other"), "ab");
        renameSync(join(folder, "other"), file);
      },
      () => rmSync(file),
    ];
    for (const step of steps) {
      const seen = new Promise<void>((resolve) => (wake = resolve));
      step();
      await seen;
      // What inotify says of the same change comes at once; the next step must be heard for itself.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
}
