import assert from "node:assert/strict";
import { test } from "node:test";
import { resultsIn, tableOf } from "./gateway-api-results.ts";

const output = `
    conformance.go:56: Skipping UDPRouteX: suite does not support UDPRoute
    conformance.go:56: Skipping MeshBasic: suite does not support Mesh
--- FAIL: TestConformance (137.15s)
    --- PASS: TestConformance/HTTPRouteA (1.25s)
        --- PASS: TestConformance/HTTPRouteA/0_request (0.05s)
    --- FAIL: TestConformance/HTTPRouteB (0.10s)
        --- FAIL: TestConformance/HTTPRouteB/2_request_to_'/a|b' (8.00s)
            --- FAIL: TestConformance/HTTPRouteB/2_request_to_'/a|b'/inner (8.00s)
    --- SKIP: TestConformance/UDPRouteX (0.00s)
    --- SKIP: TestConformance/MeshBasic (0.00s)
`;

test("tests are read with what failed of them and what they were skipped for", () => {
  assert.deepEqual(resultsIn(output), [
    { name: "HTTPRouteA", state: "passed", seconds: 1.25, failedParts: [] },
    { name: "HTTPRouteB", state: "failed", seconds: 0.1, failedParts: ["2 request to '/a|b'"] },
    { name: "UDPRouteX", state: "skipped", seconds: 0, failedParts: [], feature: "UDPRoute" },
    { name: "MeshBasic", state: "skipped", seconds: 0, failedParts: [], feature: "Mesh" },
  ]);
});

test("the table counts, names what failed, and says why features are missing", () => {
  const table = tableOf({ "GATEWAY-HTTP": resultsIn(output), "MESH-HTTP": [] });
  assert.match(table, /2 tests ran: 1 passed, 1 failed\./);
  assert.match(table, /\| HTTPRouteB \| failed \| 0\.1 \| 2 request to '\/a\\\|b' \|/);
  assert.match(table, /\| UDPRoute \| 1 \| no such kind yet \|/);
  assert.doesNotMatch(table, /\| Mesh \|/);
});
