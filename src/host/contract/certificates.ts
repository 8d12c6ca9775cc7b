/** Certificates for tests: authorities, and leaves with SPIFFE URIs or DNS names. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  cryptoProvider,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { JsonGeneralName, X509Certificate } from "@peculiar/x509";

// The library takes the browser's type of the same thing.
cryptoProvider.set(webcrypto as never);

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface Identity {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface Authority {
  /** PEM. */
  readonly ca: string;
  issue(names: readonly JsonGeneralName[], validity?: { readonly notBefore: Date; readonly notAfter: Date }): Promise<Identity>;
}

const validNow = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2099-01-01T00:00:00Z") };

export async function authority(name: string): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const root = await X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: `CN=${name}`,
    ...validNow,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new BasicConstraintsExtension(true, 1, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)],
  });
  return { ca: root.toString("pem"), issue: (names, validity = validNow) => issue(root, keys.privateKey, { names, validity }) };
}

async function issue(
  root: X509Certificate,
  signingKey: webcrypto.CryptoKey,
  leaf: { readonly names: readonly JsonGeneralName[]; readonly validity: { readonly notBefore: Date; readonly notAfter: Date } },
): Promise<Identity> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.create({
    subject: "",
    issuer: root.subject,
    ...leaf.validity,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [new BasicConstraintsExtension(false, undefined, true), new SubjectAlternativeNameExtension([...leaf.names], true)],
  });
  const privateKey = PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: certificate.toString("pem"), privateKey };
}
