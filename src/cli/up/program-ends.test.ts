import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { lastWords } from "./program-ends.ts";

const cases: readonly { readonly name: string; readonly lines: readonly string[]; readonly want: string | undefined }[] = [
  { name: "nothing", lines: [], want: undefined },
  {
    name: "the message and the error of a log line",
    lines: ['{"time":"t","level":"info","msg":"first"}', '{"time":"t","level":"error","msg":"could not start","error":"listen EADDRINUSE 192.168.99.1:6443"}'],
    want: "could not start: listen EADDRINUSE 192.168.99.1:6443",
  },
  {
    name: "the error above a stack trace",
    lines: ["file:///a.ts:3", "  throw new Error()", "Error [ERR_MODULE_NOT_FOUND]: Cannot find module 'b.ts'", "    at c (d.ts:1:2)", "Node.js v24.21.0"],
    want: "Error [ERR_MODULE_NOT_FOUND]: Cannot find module 'b.ts'",
  },
  { name: "a plain line", lines: ["sh: 1: node: not found"], want: "sh: 1: node: not found" },
];

describe("the last words of a program are", () => {
  for (const { name, lines, want } of cases) test(name, () => assert.equal(lastWords(lines), want));
});
