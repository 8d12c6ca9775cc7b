import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./run-command.ts";

export interface CheckoutFile {
  /** From the root of the checkout. */
  readonly path: string;
  readonly lines: readonly string[];
}

const SKIPPED = new Set(["node_modules", ".git", ".cache"]);
const GENERATED = "src/wire/envoy/gen";
const TEXT = /(\.(ts|mjs|cjs|js|json|md|ya?ml|proto|golden|txt|sh|html|css)|\/run|^weft|^LICENSE|^\.[a-z]+)$/;

/** Text files of the checkout; not what is installed or generated. */
export function checkoutFiles(): readonly CheckoutFile[] {
  return pathsBelow(root).map((path) => ({ path, lines: readFileSync(join(root, path), "utf8").split("\n") }));
}

function pathsBelow(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const path = relative(root, join(folder, entry.name));
      if (entry.isDirectory()) return SKIPPED.has(entry.name) || path === GENERATED ? [] : pathsBelow(join(folder, entry.name));
      return entry.isFile() && TEXT.test(path) ? [path] : [];
    });
}
