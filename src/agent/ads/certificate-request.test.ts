import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { it } from "node:test";
import { newKeyAndRequest } from "./certificate-request.ts";

const NAMES = [
  { name: "a short name", uri: "spiffe://cluster.local/ns/a/sa/b" },
  { name: "a name that needs long DER lengths", uri: `spiffe://cluster.local/ns/${"n".repeat(63)}/sa/${"s".repeat(200)}` },
];
for (const { name, uri } of NAMES) {
  it(`OpenSSL verifies a request with ${name}`, () => {
    const { request, privateKey } = newKeyAndRequest(uri);
    const read = spawnSync("openssl", ["req", "-verify", "-noout", "-text", "-pubkey"], { input: request, encoding: "utf8" });
    assert.match(read.stderr, /verify OK/);
    assert.match(read.stdout, /Subject: *\n/);
    assert.match(read.stdout, /Subject Alternative Name: critical/);
    assert.ok(read.stdout.includes(`URI:${uri}`));
    assert.ok(read.stdout.includes(createPublicKey(createPrivateKey(privateKey)).export({ type: "spki", format: "pem" }).toString().trim()));
  });
}
