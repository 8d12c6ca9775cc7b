/** Connections that were redirected, as in a pod: both proxies find the listener, the chain and the upstream of where they meant to go. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import { skipWithoutEnvoy } from "./sides.ts";

describe("redirected connections", { skip: skipWithoutEnvoy }, () => {
  it("reach what they meant to reach, alike", { timeout: 120_000 }, () => {
    const { stdout, stderr, status } = spawnSync("unshare", ["-Urn", process.execPath, join(import.meta.dirname, "original-destination.ts")], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    const seen = JSON.parse(stdout) as Readonly<Record<string, readonly [string, string]>>;
    for (const [destination, [weft, envoy]] of Object.entries(seen)) assert.equal(weft, envoy, destination);
    assert.deepEqual(Object.fromEntries(Object.entries(seen).map(([destination, [weft]]) => [destination, weft])), {
      "3:8080": "any-8080",
      "5:8080": "exact-8080",
      "5:9000": "exact-9000",
      "6:9000": "",
      "7:9100": "GET / HTTP/1",
      "7:9200": "port-9200",
      "7:1": "",
    });
  });
});
