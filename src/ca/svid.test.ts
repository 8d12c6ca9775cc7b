import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { KeyPair } from "./certificate.ts";
import { meshCa } from "./svid.ts";
import type { MeshCa } from "./svid.ts";
import { issueKeyPair, newMeshRoot } from "./root.ts";

const host = {
  clock: { now: () => Date.now() },
  random: { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) },
} as unknown as Parameters<typeof newMeshRoot>[0];
const reviews = { namespace: "default", serviceAccount: "bookinfo-reviews" };
const REVIEWS = "spiffe://cluster.local/ns/default/sa/bookinfo-reviews";

let folder: string;
let root: KeyPair;
let ca: MeshCa;

function openssl(...args: string[]): string {
  return execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function request(names: string, key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]): string {
  return openssl(
    "req",
    "-new",
    ...key,
    "-nodes",
    "-keyout",
    join(folder, "key.pem"),
    "-subj",
    "/",
    ...(names === "" ? [] : ["-addext", `subjectAltName=${names}`]),
  );
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-ca-"));
  root = await newMeshRoot(host);
  ca = meshCa(host, root);
  writeFileSync(join(folder, "root.pem"), root.certificate);
});
after(() => rmSync(folder, { recursive: true }));

describe("the mesh CA", () => {
  it("signs what OpenSSL and Node verify as client and server", async () => {
    const answer = await ca.sign(request(`URI:${REVIEWS}`), reviews, 12 * 3_600_000);
    assert.equal(answer.kind, "signed");
    if (answer.kind !== "signed") return;
    writeFileSync(join(folder, "leaf.pem"), answer.chain[0] ?? "");
    for (const purpose of ["sslclient", "sslserver"]) {
      assert.match(openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", join(folder, "root.pem"), join(folder, "leaf.pem")), /: OK/);
    }
    const leaf = new X509Certificate(answer.chain[0] ?? "");
    assert.equal(leaf.subjectAltName, `URI:${REVIEWS}`);
    assert.equal(leaf.ca, false);
    assert.ok(leaf.validFromDate.getTime() < Date.now());
    const hours = (leaf.validToDate.getTime() - Date.now()) / 3_600_000;
    assert.ok(hours > 11.9 && hours <= 12, `${hours} h`);
    assert.match(openssl("x509", "-in", join(folder, "leaf.pem"), "-noout", "-text"), /Subject Alternative Name: critical/);
    assert.equal(openssl("pkey", "-in", join(folder, "key.pem"), "-pubout").trim(), leaf.publicKey.export({ type: "spki", format: "pem" }).toString().trim());
  });

  it("never gives one serial number twice, nor more life than 12 h", async () => {
    const csr = request(`URI:${REVIEWS}`);
    const answers = await Promise.all([ca.sign(csr, reviews, 1e12), ca.sign(csr, reviews, 1e12)]);
    const leaves = answers.map((answer) => new X509Certificate(answer.kind === "signed" ? (answer.chain[0] ?? "") : ""));
    assert.notEqual(leaves[0]?.serialNumber, leaves[1]?.serialNumber);
    assert.ok((leaves[0]?.validToDate.getTime() ?? 0) <= Date.now() + 12 * 3_600_000);
  });

  const refusals: { name: string; csr: () => string; want: RegExp }[] = [
    {
      name: "another workload's name",
      csr: () => request("URI:spiffe://cluster.local/ns/default/sa/admin"),
      want: /asks for "spiffe:\/\/cluster.local\/ns\/default\/sa\/admin", but its pod is/,
    },
    { name: "another trust domain", csr: () => request("URI:spiffe://evil.example/ns/default/sa/bookinfo-reviews"), want: /asks for "spiffe:\/\/evil.example/ },
    { name: "a second name beside its own", csr: () => request(`URI:${REVIEWS},DNS:api.example.org`), want: /must ask for one URI name/ },
    { name: "a DNS name", csr: () => request("DNS:reviews.default.svc"), want: /must ask for one URI name/ },
    { name: "no name", csr: () => request(""), want: /asks for none/ },
    { name: "an RSA key", csr: () => request(`URI:${REVIEWS}`, ["-newkey", "rsa:2048"]), want: /key of kind RSA/ },
    { name: "a curve other than P-256", csr: () => request(`URI:${REVIEWS}`, ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]), want: /P-384/ },
    { name: "what is no request", csr: () => "hello", want: /not a PKCS #10 request/ },
    {
      name: "a request whose signature is broken",
      csr: () => {
        const pem = request(`URI:${REVIEWS}`).split("\n");
        const der = Buffer.from(pem.slice(1, -2).join(""), "base64");
        der[der.length - 3] = (der[der.length - 3] ?? 0) ^ 0xff;
        return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
      },
      want: /not signed by the key|not a PKCS/,
    },
  ];
  for (const { name, csr, want } of refusals) {
    it(`refuses ${name}`, async () => {
      const answer = await ca.sign(csr(), reviews, 3_600_000);
      assert.equal(answer.kind, "refused");
      assert.match(answer.kind === "refused" ? answer.message : "", want);
    });
  }

  it("issues client and server certificates for the cluster's own programs", async () => {
    const pair = await issueKeyPair(host, root, {
      commonName: "system:node:node-1",
      organizations: ["system:nodes"],
      dnsNames: ["node-1"],
      ips: ["192.168.99.10"],
      usages: ["client", "server"],
      lifetimeMs: 3_600_000,
    });
    writeFileSync(join(folder, "node.pem"), pair.certificate);
    assert.match(openssl("verify", "-CAfile", join(folder, "root.pem"), join(folder, "node.pem")), /: OK/);
    const leaf = new X509Certificate(pair.certificate);
    assert.equal(leaf.subject, "O=system:nodes\nCN=system:node:node-1");
    assert.equal(leaf.checkIP("192.168.99.10"), "192.168.99.10");
    assert.ok(readFileSync(join(folder, "node.pem"), "utf8").endsWith("-----END CERTIFICATE-----\n"));
  });
});
