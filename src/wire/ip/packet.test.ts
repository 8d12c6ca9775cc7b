import assert from "node:assert/strict";
import { test } from "node:test";
import { readPacket } from "./packet.ts";

/** A SYN from 10.244.0.5:40000 to 10.244.1.7:9080, captured. */
const syn = Buffer.from("4500003c1c4640004006b1e60af400050af401079c402378000000000000000050022000000000000", "hex");

test("a TCP packet tells its ports", () => {
  assert.deepEqual(readPacket(syn), { source: "10.244.0.5", destination: "10.244.1.7", protocol: "tcp", sourcePort: 40000, destinationPort: 9080 });
});

test("a later fragment has no ports", () => {
  const fragment = Buffer.from(syn);
  fragment.writeUInt16BE(185, 6);
  assert.deepEqual(readPacket(fragment), { source: "10.244.0.5", destination: "10.244.1.7", protocol: "tcp" });
});

test("an IPv6 echo has no ports", () => {
  const packet = Buffer.from(`6000000000003a40${"fd".padEnd(31, "0")}1${"fd".padEnd(31, "0")}28000`, "hex");
  assert.deepEqual(readPacket(packet), { source: "fd00::1", destination: "fd00::2", protocol: "icmpv6" });
});

test("every truncation is told as less, never as something else", () => {
  for (let length = 0; length < 20; length += 1) assert.equal(readPacket(syn.subarray(0, length)), undefined);
  for (let length = 20; length < 24; length += 1) assert.equal(readPacket(syn.subarray(0, length))?.destinationPort, undefined);
});
