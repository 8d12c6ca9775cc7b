import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import * as fc from "fast-check";
import { decodeMessage } from "./decode.ts";
import { encodeMessage } from "./encode.ts";
import { CLASS_IN, DnsFormatError, type DnsMessage, type RecordData, type ResourceRecord } from "./message.ts";

/** It has no types of its own. */
const dnsPacket = createRequire(import.meta.url)("dns-packet") as { decode(bytes: Buffer): { answers: { name: string; type: string; data: unknown }[] } };

const plain: DnsMessage = {
  id: 0x1234,
  response: true,
  opcode: 0,
  authoritative: true,
  truncated: false,
  recursionDesired: true,
  recursionAvailable: true,
  authenticData: false,
  checkingDisabled: false,
  rcode: 0,
  questions: [{ name: "reviews.default.svc.cluster.local", type: 1, class: CLASS_IN }],
  answers: [],
  authorities: [],
  additionals: [],
  edns: undefined,
};
const record = (name: string, data: RecordData): ResourceRecord => ({ name, class: CLASS_IN, ttlSeconds: 5, data });
const full: DnsMessage = {
  ...plain,
  answers: [
    record("reviews.default.svc.cluster.local", { type: "A", address: "10.96.0.20" }),
    record("reviews.default.svc.cluster.local", { type: "AAAA", address: "fd00::1" }),
    record("_http._tcp.reviews.default.svc.cluster.local", { type: "SRV", priority: 0, weight: 100, port: 80, target: "reviews.default.svc.cluster.local" }),
    record("ext.default.svc.cluster.local", { type: "CNAME", target: "example.org" }),
    record("20.0.96.10.in-addr.arpa", { type: "PTR", target: "reviews.default.svc.cluster.local" }),
    record("example.org", { type: "MX", preference: 10, exchange: "mail.example.org" }),
    record("dns-version.cluster.local", { type: "TXT", texts: [Uint8Array.from([49, 46, 49])] }),
  ],
  authorities: [
    record("cluster.local", {
      type: "SOA",
      primary: "ns.dns.cluster.local",
      mailbox: "hostmaster.cluster.local",
      serial: 7,
      refresh: 1,
      retry: 2,
      expire: 3,
      minimum: 5,
    }),
  ],
  additionals: [record("x", { type: "unknown", number: 65, bytes: Uint8Array.from([1, 2, 3]) })],
  edns: { udpSizeBytes: 1232, version: 0, dnssecOk: true },
};

test("a message survives bytes", () => assert.deepEqual(decodeMessage(encodeMessage(full)), full));

test("dns-packet reads what is written", () => {
  const read = dnsPacket.decode(Buffer.from(encodeMessage(full)));
  assert.deepEqual(
    read.answers.map((each) => [each.name, each.type, each.data]),
    [
      ["reviews.default.svc.cluster.local", "A", "10.96.0.20"],
      ["reviews.default.svc.cluster.local", "AAAA", "fd00::1"],
      ["_http._tcp.reviews.default.svc.cluster.local", "SRV", { priority: 0, weight: 100, port: 80, target: "reviews.default.svc.cluster.local" }],
      ["ext.default.svc.cluster.local", "CNAME", "example.org"],
      ["20.0.96.10.in-addr.arpa", "PTR", "reviews.default.svc.cluster.local"],
      ["example.org", "MX", { preference: 10, exchange: "mail.example.org" }],
      ["dns-version.cluster.local", "TXT", [Buffer.from("1.1")]],
    ],
  );
});

test("names are compressed, but not in SRV targets", () => {
  const once = encodeMessage(plain).length;
  assert.equal(encodeMessage({ ...plain, answers: full.answers.slice(0, 1) }).length, once + 2 + 10 + 4);
  const srv = record("reviews.default.svc.cluster.local", { type: "SRV", priority: 0, weight: 0, port: 1, target: "reviews.default.svc.cluster.local" });
  assert.equal(encodeMessage({ ...plain, answers: [srv] }).length, once + 2 + 10 + 6 + 35);
});

test("every truncation fails cleanly", () => {
  const bytes = encodeMessage(full);
  for (let length = 0; length < bytes.length; length += 1)
    assert.throws(() => decodeMessage(bytes.subarray(0, length)), DnsFormatError, `cut to ${length} bytes`);
});

test("random bytes and random damage are read or refused, never more", () => {
  const bytes = encodeMessage(full);
  const tryAll = (damaged: Uint8Array) => {
    try {
      encodeMessage(decodeMessage(damaged));
    } catch (error) {
      assert.ok(error instanceof DnsFormatError, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), tryAll), { numRuns: 2000 });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
      const damaged = bytes.slice();
      for (const [at, value] of changes) damaged[at] = value;
      tryAll(damaged);
    }),
    { numRuns: 2000 },
  );
});

test("random names survive, whatever bytes their labels hold", () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 8 }), (labels) => {
      const wire = Buffer.concat([
        Buffer.from([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
        ...labels.map((each) => Buffer.from([each.length, ...each])),
        Buffer.from([0, 0, 1, 0, 1]),
      ]);
      assert.deepEqual(Buffer.from(encodeMessage(decodeMessage(wire))), wire);
    }),
  );
});

test("a pointer loop is refused", () => {
  const loop = Uint8Array.from([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1]);
  assert.throws(() => decodeMessage(loop), DnsFormatError);
});

test("what does not fit is cut at a record and marked", () => {
  const many = Array.from({ length: 60 }, (_, i) => record("hdls.default.svc.cluster.local", { type: "A", address: `10.0.0.${i}` }));
  const bytes = encodeMessage({ ...full, answers: many }, 512);
  assert.ok(bytes.length <= 512);
  const read = decodeMessage(bytes);
  assert.ok(read.truncated);
  assert.ok(read.answers.length > 20 && read.answers.length < 60);
  assert.deepEqual(read.edns, full.edns);
  assert.equal(encodeMessage({ ...full, answers: many }).length > 512, true);
});
