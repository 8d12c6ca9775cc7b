/** Certificates for tests: one authority, a server and clients. P-256, valid for an hour around `now`. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

export interface TestAuthority {
  readonly ca: string;
  issue(
    subject: string,
    options?: { readonly expired?: boolean; readonly addresses?: readonly string[] },
  ): Promise<{ readonly certificate: string; readonly privateKey: string }>;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const HOUR_MS = 3_600_000;

export async function testAuthority(): Promise<TestAuthority> {
  x509.cryptoProvider.set(webcrypto as typeof globalThis.crypto);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const now = Date.now();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=test-ca",
    notBefore: new Date(now - HOUR_MS),
    notAfter: new Date(now + HOUR_MS),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  let serial = 2;
  return {
    ca: ca.toString("pem"),
    async issue(subject, { expired = false, addresses = [] } = {}) {
      const own = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
      const names = addresses.map((value) => ({ type: /^[\d.]+$/.test(value) ? ("ip" as const) : ("dns" as const), value }));
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: (serial++).toString(16).padStart(2, "0"),
        subject,
        issuer: ca.subject,
        notBefore: new Date(now - HOUR_MS),
        notAfter: new Date(expired ? now - 1000 : now + HOUR_MS),
        signingAlgorithm: algorithm,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
      });
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", own.privateKey)).toString("base64");
      return {
        certificate: certificate.toString("pem"),
        privateKey: `-----BEGIN PRIVATE KEY-----\n${pkcs8.replaceAll(/(.{64})/g, "$1\n")}\n-----END PRIVATE KEY-----\n`,
      };
    },
  };
}
