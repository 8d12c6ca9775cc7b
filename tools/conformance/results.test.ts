import assert from "node:assert/strict";
import { test } from "node:test";
import { tableOf, withReport, type Results } from "./results.ts";
import type { Spec, SpecReport } from "./specs.ts";

const asked: readonly Spec[] = [
  { name: "[sig-network] Services a [Conformance]", group: "Conformance" },
  { name: "[sig-network] Services b [Conformance]", group: "Conformance" },
  { name: "[sig-network] Services c [Conformance]", group: "Conformance" },
  { name: "[sig-network] Netpol [Feature:SCTPConnectivity] d", group: "NetworkPolicy" },
];
const report = (text: string, State: string, RunTime: number, Message?: string): SpecReport => ({
  LeafNodeType: "It",
  ContainerHierarchyTexts: ["[sig-network] Services"],
  LeafNodeText: `${text} [Conformance]`,
  State,
  RunTime,
  ...(Message === undefined ? {} : { Failure: { Message } }),
});
const none: Results = { kubernetes: "v1", specs: {} };

test("a run changes what is said of the specs that it ran, and of no others", () => {
  const first = withReport(none, asked, [
    { SpecReports: [report("a", "passed", 1.26e9), report("b", "failed", 2e9, "\nno | answer\nmore"), report("c", "skipped", 0)] },
  ]);
  assert.deepEqual(Object.keys(first.specs).length, 3);
  const other = { SpecReports: [report("b", "skipped", 0), report("c", "timedout", 9e9)] };
  const second = withReport(first, asked, [{ SpecReports: [report("a", "skipped", 0), report("b", "passed", 1e9)] }, other]);
  assert.deepEqual(second.specs["[sig-network] Services a [Conformance]"], { group: "Conformance", state: "passed", seconds: 1.3 });
  assert.deepEqual(second.specs["[sig-network] Services b [Conformance]"], { group: "Conformance", state: "passed", seconds: 1 });
  assert.match(tableOf(first, asked), /\| Services b \[Conformance\] \| failed \| 2 \| no \\\| answer \|/);
  assert.match(tableOf(second, asked), /3 specs: 2 passed, 1 not run\./);
  assert.match(tableOf(second, asked), /1 specs: 1 cannot run\./);
});
