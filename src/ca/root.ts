/**
 * Roots, and keys with certificates that they sign. On Kubernetes the control plane makes the mesh's root and the
 * certificates that it serves with; those of the embedded cluster are made by `weft up`, which outlives control.
 */
import type { webcrypto } from "node:crypto";
import { CLOCK_SKEW_MS, distinguishedName, EC, loadX509, openAuthority, serialNumber, SIGNING } from "./certificate.ts";
import type { CertificateHost, KeyPair, LeafRequest } from "./certificate.ts";

type CryptoKey = webcrypto.CryptoKey;

export function newMeshRoot(host: CertificateHost): Promise<KeyPair> {
  return newRootCertificate(host, { commonName: "Weft mesh CA", organization: "cluster.local", lifetimeMs: 3650 * 86_400_000, uri: "spiffe://cluster.local" });
}

/** A self-signed root. `uri` names the trust domain of a SPIFFE root (X.509-SVID 4.1). */
async function newRootCertificate(
  host: CertificateHost,
  root: { readonly commonName: string; readonly organization: string; readonly lifetimeMs: number; readonly uri?: string },
): Promise<KeyPair> {
  const x509 = await loadX509();
  const keys = await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
  const now = host.clock.now();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(host),
    name: distinguishedName(root.commonName, [root.organization]),
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(now + root.lifetimeMs),
    signingAlgorithm: SIGNING,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(root.uri === undefined ? [] : [new x509.SubjectAlternativeNameExtension([{ type: "url", value: root.uri }])]),
    ],
  });
  return { certificate: `${certificate.toString("pem")}\n`, privateKey: await exportKey(keys.privateKey) };
}

/** A key and a certificate for it, signed by `root`: API clients and servers, node certificates. */
export async function issueKeyPair(host: CertificateHost, root: KeyPair, request: LeafRequest): Promise<KeyPair> {
  const keys = await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
  const authority = await openAuthority(root);
  return { certificate: await authority.sign(host, keys.publicKey, request), privateKey: await exportKey(keys.privateKey) };
}

async function exportKey(key: CryptoKey): Promise<string> {
  const base64 = Buffer.from(await crypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${(base64.match(/.{1,64}/g) ?? []).join("\n")}\n-----END PRIVATE KEY-----\n`;
}
