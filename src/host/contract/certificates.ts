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

export interface IssueOptions {
  /** "CN=kubernetes-admin, O=system:masters"; default none. */
  readonly subject?: string;
  readonly validity?: { readonly notBefore: Date; readonly notAfter: Date };
}

export interface Authority {
  /** PEM. */
  readonly ca: string;
  readonly privateKey: string;
  issue(names: readonly JsonGeneralName[], options?: IssueOptions): Promise<Identity>;
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
  return {
    ca: root.toString("pem"),
    privateKey: await exported(keys.privateKey),
    issue: (names, options = {}) => issue(root, keys.privateKey, { ...options, names }),
  };
}

async function exported(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

async function issue(
  root: X509Certificate,
  signingKey: webcrypto.CryptoKey,
  leaf: IssueOptions & { readonly names: readonly JsonGeneralName[] },
): Promise<Identity> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.create({
    subject: leaf.subject ?? "",
    issuer: root.subject,
    ...(leaf.validity ?? validNow),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      ...(leaf.names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...leaf.names], leaf.subject === undefined)]),
    ],
  });
  return { certificate: certificate.toString("pem"), privateKey: await exported(keys.privateKey) };
}
