import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { splitEnter } from "./cli.ts";

const cases = [
  { name: "place and command", args: ["enter", "node-1", "--", "ip", "-o", "link"], place: "node-1", command: ["ip", "-o", "link"] },
  { name: "an option before the place", args: ["enter", "--name", "a", "outside", "--", "true"], place: "outside", command: ["true"] },
  { name: "a command without a place", args: ["enter", "--", "ip", "link"], place: undefined, command: ["ip", "link"] },
  { name: "a place alone", args: ["enter", "node-1"], place: "node-1", command: [] },
  { name: "nothing", args: ["enter", "--name=b"], place: undefined, command: [] },
  { name: "a command without the two dashes", args: ["enter", "node-1", "sh", "-c", "exit 1"], place: "node-1", command: ["sh", "-c", "exit 1"] },
  { name: "two dashes of the command itself", args: ["enter", "node-1", "--", "git", "--", "x"], place: "node-1", command: ["git", "--", "x"] },
];

describe("weft enter takes apart", () => {
  for (const { name, args, place, command } of cases) test(name, () => assert.deepEqual(splitEnter(args), { place, command }));
});
