/**
 * Golden cases: files of a folder testdata/ that hold an input and, from the first line that begins with "-- " on, what
 * comes of it. `npm run golden` writes them anew; the difference is then reviewed like any other.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";

/** `more`: further tests of the same case. */
export function goldenCases(what: string, folder: URL, answer: (input: string) => string, more?: (name: string, input: string) => void): void {
  describe(`golden cases of ${what}`, () => {
    for (const file of readdirSync(folder).filter((name) => name.endsWith(".golden"))) {
      const name = file.replace(".golden", "").replaceAll("-", " ");
      const text = readFileSync(new URL(file, folder), "utf8");
      const start = text.search(/^-- /m);
      const input = start < 0 ? text : text.slice(0, start);
      it(name, () => {
        const got = answer(input);
        if (process.env["WEFT_GOLDEN"] === "write") writeFileSync(new URL(file, folder), input + got);
        else assert.equal(start < 0 ? "" : text.slice(start), got);
      });
      more?.(name, input);
    }
  });
}
