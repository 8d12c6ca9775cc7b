import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { HeadScanner } from "#wire/http1/head-scanner.ts";
import type { PieceOutput } from "./byte-output.ts";
import type { HeaderBlock } from "./header-block.ts";
import { headerName } from "./header-name.ts";

/** What a block writes, and how much of it was copied as bytes. */
function written(block: HeaderBlock, from?: number): { readonly text: string; readonly borrowed: number } {
  let text = "";
  let borrowed = 0;
  const output: PieceOutput = {
    write(chunk) {
      text += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("latin1");
    },
    writeBorrowed(bytes, start, end) {
      borrowed += end - start;
      text += Buffer.from(bytes.subarray(start, end)).toString("latin1");
    },
  };
  block.writeTo(output, from);
  return { text, borrowed };
}

const START_LINE = "GET /x HTTP/1.1\r\n";

/** A block read from bytes that stand somewhere in a larger piece of memory. */
function read(lines: readonly string[]): { readonly block: HeaderBlock; readonly memory: Uint8Array } {
  const head = `${START_LINE}${lines.join("")}\r\n`;
  const memory = Buffer.from(`before${head}behind`, "latin1");
  const scanner = new HeadScanner({ maxBytes: 10_000, maxHeaders: 100 }, () => undefined);
  assert.equal(scanner.read(memory, "before".length), "before".length + head.length);
  return { block: scanner.block, memory };
}

const NAMES = ["host", "x-a", "x-b", "server", "date"];
const header = fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom("", "1", "a b", "é".repeat(50)));

test("what is kept of a head is written in its order, then what was added, from lent bytes as from text", () => {
  fc.assert(
    fc.property(fc.array(header, { maxLength: 6 }), fc.subarray(NAMES), fc.array(header, { maxLength: 3 }), fc.boolean(), (came, removed, added, withStart) => {
      const { block, memory } = read(came.map(([name, value]) => `${name.toUpperCase()}: ${value}\r\n`));
      for (const name of removed) block.remove(headerName(name));
      for (const [name, value] of added) block.add(headerName(name), value);
      const kept = came.filter(([name]) => !removed.includes(name)).map(([name, value]) => `${name.toUpperCase()}: ${value}\r\n`);
      const expected = `${withStart ? START_LINE : ""}${kept.join("")}${added.map(([name, value]) => `${name}: ${value}\r\n`).join("")}`;
      const from = withStart ? 0 : undefined;
      assert.equal(written(block, from).text, expected);
      block.takeBack();
      memory.fill(0);
      assert.deepEqual(written(block, from), { text: expected, borrowed: 0 }, "what is written later does not touch what was lent");
    }),
  );
});

test("a head that nothing was taken from is copied in one piece", () => {
  const { block } = read(["Host: a\r\n", "X-A: 1\r\n"]);
  assert.deepEqual(written(block, 0), { text: `${START_LINE}Host: a\r\nX-A: 1\r\n`, borrowed: START_LINE.length + "Host: a\r\nX-A: 1\r\n".length });
});
