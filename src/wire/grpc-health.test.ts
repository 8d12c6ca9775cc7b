import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeHealthResponse, encodeHealthRequest } from "./grpc-health.ts";

test("messages of gRPC's health checking are written and read as protobuf has them", () => {
  assert.deepEqual([...encodeHealthRequest("")], []);
  assert.deepEqual([...encodeHealthRequest("ab")], [0x0a, 2, 0x61, 0x62]);
  assert.deepEqual([...encodeHealthRequest("x".repeat(200)).subarray(0, 3)], [0x0a, 0xc8, 0x01]);
  assert.equal(decodeHealthResponse(Uint8Array.of()), "UNKNOWN");
  assert.equal(decodeHealthResponse(Uint8Array.of(8, 1)), "SERVING");
  assert.equal(decodeHealthResponse(Uint8Array.of(8, 2)), "NOT_SERVING");
  for (const bytes of [[8], [8, 9], [10, 1], [8, 1, 8]]) assert.equal(decodeHealthResponse(Uint8Array.from(bytes)), undefined);
});
