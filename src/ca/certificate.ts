/** Making X.509 certificates: roots, and leaves that a root signs. Keys are ECDSA P-256. */
import type { webcrypto } from "node:crypto";
import type { Host } from "#host/host.ts";

type CryptoKey = webcrypto.CryptoKey;

export type CertificateHost = Pick<Host, "clock" | "random">;

export interface KeyPair {
  /** PEM. */
  readonly certificate: string;
  /** PKCS#8 PEM. */
  readonly privateKey: string;
}

export interface LeafRequest {
  readonly commonName?: string;
  readonly organizations?: readonly string[];
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ips?: readonly string[];
  readonly usages: readonly ("server" | "client")[];
  readonly lifetimeMs: number;
}

/** Clocks of one mesh may differ by this much before a fresh certificate is refused as "not yet valid" (Istio's skew). */
const CLOCK_SKEW_MS = 2 * 60_000;

const EC = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;
/** RFC 5280 4.2.1.12. */
const USAGE_OIDS = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const;

/** Importing takes 60 ms, so it happens when the first certificate is made, not when a program starts. */
export async function loadX509(): Promise<typeof import("@peculiar/x509")> {
  await import("reflect-metadata");
  return await import("@peculiar/x509");
}

/** A self-signed root. `uri` names the trust domain of a SPIFFE root (X.509-SVID 4.1). */
export async function newRootCertificate(
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

/** A root that is ready to sign. */
export interface Authority {
  readonly certificate: string;
  sign(host: CertificateHost, publicKey: CryptoKey, request: LeafRequest): Promise<string>;
}

export async function openAuthority(root: KeyPair): Promise<Authority> {
  const x509 = await loadX509();
  const issuer = new x509.X509Certificate(root.certificate);
  const der = Buffer.from(root.privateKey.replace(/-----[^-]+-----|\s/g, ""), "base64");
  const signingKey = await crypto.subtle.importKey("pkcs8", der, EC, false, ["sign"]);
  const authorityKey = await x509.AuthorityKeyIdentifierExtension.create(issuer);
  return {
    certificate: root.certificate,
    async sign(host, publicKey, request) {
      const subject = distinguishedName(request.commonName, request.organizations ?? []);
      const now = host.clock.now();
      const names = [
        ...(request.uris ?? []).map((value) => ({ type: "url" as const, value })),
        ...(request.dnsNames ?? []).map((value) => ({ type: "dns" as const, value })),
        ...(request.ips ?? []).map((value) => ({ type: "ip" as const, value })),
      ];
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serialNumber(host),
        subject,
        issuer: issuer.subjectName,
        notBefore: new Date(now - CLOCK_SKEW_MS),
        // A leaf that outlives its root would be trusted by nobody at the end.
        notAfter: new Date(Math.min(now + request.lifetimeMs, issuer.notAfter.getTime())),
        signingAlgorithm: SIGNING,
        publicKey,
        signingKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension(request.usages.map((usage) => USAGE_OIDS[usage])),
          await x509.SubjectKeyIdentifierExtension.create(publicKey),
          authorityKey,
          // RFC 5280 4.2.1.6: critical when the subject is empty.
          ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names, subject.length === 0)]),
        ],
      });
      return `${certificate.toString("pem")}\n`;
    },
  };
}

/** 127 random bits: positive, and at least the 64 bits that the CA/Browser Forum asks for. */
function serialNumber(host: CertificateHost): string {
  const bytes = host.random.bytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return Buffer.from(bytes).toString("hex");
}

function distinguishedName(commonName: string | undefined, organizations: readonly string[]): Record<string, string[]>[] {
  return [...organizations.map((name) => ({ O: [name] })), ...(commonName === undefined ? [] : [{ CN: [commonName] }])];
}

async function exportKey(key: CryptoKey): Promise<string> {
  const base64 = Buffer.from(await crypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${(base64.match(/.{1,64}/g) ?? []).join("\n")}\n-----END PRIVATE KEY-----\n`;
}
