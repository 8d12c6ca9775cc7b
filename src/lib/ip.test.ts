import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import ipaddr from "ipaddr.js";
import { cidr, contains, containsCidr, formatCidr, formatIp, ip, ipBytes, ipFromBytes, nthAddress, parseCidr, parseIp, unmapped } from "./ip.ts";

const REFUSED = [
  "",
  "1.2.3",
  "1.2.3.4.5",
  "01.2.3.4",
  "1.2.3.256",
  "1.2.3.-4",
  ":",
  ":::",
  "1::2::3",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "12345::",
  "g::",
  "1:2:3:4:5:6:7:8::",
  "1.2.3.4::",
  "fe80::1%eth0",
];
for (const text of REFUSED) {
  test(`"${text}" is not an address`, () => assert.equal(parseIp(text), undefined));
}

const CANONICAL = [
  ["10.244.0.1", "10.244.0.1"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["::1", "::1"],
  ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["::ffff:10.0.0.1", "::ffff:10.0.0.1"],
  ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
] as const;
for (const [text, canonical] of CANONICAL) {
  test(`${text} is written ${canonical}`, () => assert.equal(formatIp(ip(text)), canonical));
}

test("random addresses of both families agree with ipaddr.js and survive bytes and text", () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })), (bytes) => {
      const address = ipFromBytes(bytes);
      assert.ok(address);
      assert.deepEqual(ipBytes(address), bytes);
      assert.deepEqual(parseIp(formatIp(address)), address);
      assert.deepEqual(Uint8Array.from(ipaddr.parse(formatIp(address)).toByteArray()), bytes);
    }),
  );
});

test("ranges contain what is inside them and nothing of another family", () => {
  const range = cidr("10.244.1.7/24");
  assert.equal(formatCidr(range), "10.244.1.0/24");
  assert.ok(contains(range, ip("10.244.1.255")));
  assert.ok(!contains(range, ip("10.244.2.0")));
  assert.ok(!contains(cidr("::/0"), ip("1.2.3.4")));
  assert.ok(contains(cidr("0.0.0.0/0"), ip("255.255.255.255")));
  assert.ok(containsCidr(cidr("10.0.0.0/8"), range));
  assert.ok(!containsCidr(range, cidr("10.0.0.0/8")));
});

test("the nth address stays in its range", () => {
  assert.equal(formatIp(nthAddress(cidr("10.96.0.0/16"), 10) ?? ip("::")), "10.96.0.10");
  assert.equal(nthAddress(cidr("10.96.0.0/30"), 4), undefined);
  assert.equal(formatIp(nthAddress(cidr("fd00::/64"), 2n ** 63n) ?? ip("::")), "fd00::8000:0:0:0");
});

for (const text of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08", "::/129", "x/8"]) {
  test(`"${text}" is not a range`, () => assert.equal(parseCidr(text), undefined));
}

test("a mapped address folds to the IPv4 address that it stands for", () => {
  assert.equal(formatIp(unmapped(ip("::ffff:10.0.0.1"))), "10.0.0.1");
  assert.equal(formatIp(unmapped(ip("::1"))), "::1");
});
