/** Making X.509 certificates: leaves that a root signs. Keys are ECDSA P-256. */
import type { webcrypto } from "node:crypto";
import type * as X509 from "@peculiar/x509";
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
export const CLOCK_SKEW_MS = 2 * 60_000;

export const EC = { name: "ECDSA", namedCurve: "P-256" } as const;
export const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;
/** RFC 5280 4.2.1.12. */
const USAGE_OIDS = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const;

/** Importing takes 60 ms, so it happens when the first certificate is made, not when a program starts. */
export async function loadX509(): Promise<typeof X509> {
  await import("reflect-metadata");
  return await import("@peculiar/x509");
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
export function serialNumber(host: CertificateHost): string {
  const bytes = host.random.bytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return Buffer.from(bytes).toString("hex");
}

export function distinguishedName(commonName: string | undefined, organizations: readonly string[]): Record<string, string[]>[] {
  return [...organizations.map((name) => ({ O: [name] })), ...(commonName === undefined ? [] : [{ CN: [commonName] }])];
}
