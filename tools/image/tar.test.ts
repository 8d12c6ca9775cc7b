import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { tar, type TarEntry } from "./tar.ts";

const file = (path: string, text: string, mode = 0o644): TarEntry => ({ path, kind: "file", bytes: Buffer.from(text), mode });
const LONG = `${"folder/".repeat(20)}file`;

test("tar(1) unpacks what was written: files, modes, links, long names", () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-tar-"));
  try {
    writeFileSync(
      join(folder, "a.tar"),
      tar([file("bin/program", "x".repeat(513), 0o755), { path: "bin/same", kind: "link", target: "bin/program" }, file(LONG, "deep")]),
    );
    execFileSync("tar", ["-xf", join(folder, "a.tar"), "-C", folder]);
    assert.equal(readFileSync(join(folder, "bin/same"), "utf8"), "x".repeat(513));
    assert.equal(statSync(join(folder, "bin/program")).ino, statSync(join(folder, "bin/same")).ino);
    assert.equal(statSync(join(folder, "bin/program")).mode & 0o777, 0o755);
    assert.equal(readFileSync(join(folder, LONG), "utf8"), "deep");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("the order in which entries come does not matter", () => {
  const entries = [file("b", "1"), file("a/c", "2"), file("a-b", "3"), { path: "a", kind: "directory", mode: 0o700 } as const];
  assert.deepEqual(tar(entries), tar(entries.toReversed()));
});

const refused: readonly { readonly name: string; readonly entries: readonly TarEntry[]; readonly message: RegExp }[] = [
  { name: "two entries of one name", entries: [file("a", "1"), file("a", "2")], message: /two entries are named a$/ },
  { name: "an absolute path", entries: [file("/a", "1")], message: /"\/a" begins or ends with/ },
  { name: "a link to what comes later", entries: [{ path: "a", kind: "link", target: "b" }, file("b", "")], message: /a links to b, which is not before it/ },
  { name: "a name that has no place", entries: [file("x".repeat(101), "")], message: /is too long/ },
];
for (const { name, entries, message } of refused) test(`${name} is refused`, () => assert.throws(() => tar(entries), message));
