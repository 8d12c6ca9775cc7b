/**
 * Keys and certificates of a cluster: its CA (API clients and servers), one certificate a program, the admin's, and the
 * root of the mesh, which is a CA of its own because what it signs are workloads. Kept in the state folder; made anew
 * when missing, near their end, or when they no longer say what the cluster needs.
 */
import { X509Certificate, type webcrypto } from "node:crypto";
import type * as x509Library from "@peculiar/x509";
import type { Files } from "#host/files.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { ProgramCertificate } from "#model/supervisor-link.ts";

/** PEM. */
interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

interface Leaf {
  readonly name: string;
  readonly commonName: string;
  readonly organization?: string;
  readonly dnsNames: readonly string[];
  readonly addresses: readonly string[];
}

export interface ClusterPki {
  readonly ca: string;
  readonly admin: KeyPair;
  readonly programs: readonly ProgramCertificate[];
}

const DAY_MS = 24 * 60 * 60 * 1000;
const CA_DAYS = 3650;
const LEAF_DAYS = 365;
/** What ends within this time is replaced when the cluster starts. */
const RENEW_DAYS = 30;

/** First address of the service range, the Service `kubernetes`. */
function apiServiceAddress(config: RuntimeConfig): string {
  return config.serviceCIDR.replace(/\.[0-9]+\/.*$/, ".1");
}

function leavesOf(config: RuntimeConfig): readonly Leaf[] {
  const control = { dnsNames: ["localhost", "control"], addresses: ["127.0.0.1", config.controlAddress] };
  return [
    { name: "admin", commonName: "kubernetes-admin", organization: "system:masters", dnsNames: [], addresses: [] },
    {
      name: "api",
      commonName: "kube-apiserver",
      dnsNames: ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"],
      addresses: ["127.0.0.1", config.controlAddress, apiServiceAddress(config)],
    },
    { name: "control", commonName: "system:weft:control", organization: "system:masters", ...control },
    ...config.nodes.map((node) => ({
      name: node.name,
      commonName: `system:node:${node.name}`,
      organization: "system:nodes",
      dnsNames: [node.name, "localhost"],
      addresses: [node.address, "127.0.0.1"],
    })),
  ];
}

export async function openPki(files: Files, config: RuntimeConfig, now: number): Promise<ClusterPki> {
  const folder = `${config.stateDir}/pki`;
  await files.makeDirectory(folder, { mode: 0o700 });
  let ca = await readPair(files, folder, "ca");
  const caIsNew = ca === undefined || endsSoon(ca, now);
  if (ca === undefined || caIsNew) ca = await keep(files, folder, "ca", await makeCa("weft cluster CA", now));
  const mesh = await readPair(files, folder, "mesh-ca");
  if (mesh === undefined || endsSoon(mesh, now)) await keep(files, folder, "mesh-ca", await makeCa("weft mesh CA", now));
  const pairs = new Map<string, KeyPair>();
  for (const leaf of leavesOf(config)) {
    const found = caIsNew ? undefined : await readPair(files, folder, leaf.name);
    pairs.set(leaf.name, found !== undefined && isUsable(found, leaf, ca, now) ? found : await keep(files, folder, leaf.name, await makeLeaf(leaf, ca, now)));
  }
  const admin = pairs.get("admin");
  if (admin === undefined) throw new Error("the admin is not among the certificates of the cluster");
  const authority = ca.certificate;
  return { ca: authority, admin, programs: [...pairs].filter(([name]) => name !== "admin").map(([program, pair]) => ({ program, ...pair, ca: authority })) };
}

async function readPair(files: Files, folder: string, name: string): Promise<KeyPair | undefined> {
  if ((await files.stat(`${folder}/${name}.crt`)) === undefined || (await files.stat(`${folder}/${name}.key`)) === undefined) return undefined;
  return { certificate: await files.readText(`${folder}/${name}.crt`), privateKey: await files.readText(`${folder}/${name}.key`) };
}

async function keep(files: Files, folder: string, name: string, pair: KeyPair): Promise<KeyPair> {
  await files.writeAtomic(`${folder}/${name}.key`, pair.privateKey, { mode: 0o600 });
  await files.writeAtomic(`${folder}/${name}.crt`, pair.certificate);
  return pair;
}

function endsSoon(pair: KeyPair, now: number): boolean {
  try {
    return Date.parse(new X509Certificate(pair.certificate).validTo) - now < RENEW_DAYS * DAY_MS;
  } catch {
    return true;
  }
}

function isUsable(pair: KeyPair, leaf: Leaf, ca: KeyPair, now: number): boolean {
  if (endsSoon(pair, now)) return false;
  const certificate = new X509Certificate(pair.certificate);
  return (
    certificate.verify(new X509Certificate(ca.certificate).publicKey) &&
    leaf.addresses.every((address) => certificate.checkIP(address) !== undefined) &&
    leaf.dnsNames.every((name) => certificate.checkHost(name) !== undefined)
  );
}

/** Loaded only when something is made: 60 ms. It wants the metadata polyfill before it. */
async function library(): Promise<typeof x509Library> {
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ECDSA, true, ["sign", "verify"]);
}

async function privatePem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const bytes = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${bytes.replaceAll(/.{64}/g, "$&\n").trimEnd()}\n-----END PRIVATE KEY-----\n`;
}

function serialNumber(): string {
  const bytes = crypto.getRandomValues(Buffer.alloc(16));
  // RFC 5280 4.1.2.2: positive, so the first bit is clear; not zero at the front, for DER.
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

/** An hour back, for machines whose clocks differ a little. */
function validity(days: number, now: number): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + days * DAY_MS) };
}

async function makeCa(commonName: string, now: number): Promise<KeyPair> {
  const x509 = await library();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [commonName] }],
    ...validity(CA_DAYS, now),
    signingAlgorithm: ECDSA,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString("pem")}\n`, privateKey: await privatePem(keys) };
}

async function makeLeaf(leaf: Leaf, ca: KeyPair, now: number): Promise<KeyPair> {
  const x509 = await library();
  const keys = await newKeys();
  const issuer = new x509.X509Certificate(ca.certificate);
  const der = Buffer.from(ca.privateKey.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
  const signingKey = await crypto.subtle.importKey("pkcs8", der, ECDSA, false, ["sign"]);
  const names = [...leaf.dnsNames.map((value) => ({ type: "dns" as const, value })), ...leaf.addresses.map((value) => ({ type: "ip" as const, value }))];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [...(leaf.organization === undefined ? [] : [{ O: [leaf.organization] }]), { CN: [leaf.commonName] }],
    issuer: issuer.subjectName.toJSON(),
    ...validity(LEAF_DAYS, now),
    signingAlgorithm: ECDSA,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { certificate: `${certificate.toString("pem")}\n`, privateKey: await privatePem(keys) };
}

/** YAML is a superset of JSON, but people look into this file. */
export function kubeconfigText(name: string, apiUrl: string, pki: ClusterPki): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
  const context = `weft-${name}`;
  return [
    "apiVersion: v1",
    "kind: Config",
    "clusters:",
    `  - name: ${context}`,
    "    cluster:",
    `      server: ${apiUrl}`,
    `      certificate-authority-data: ${base64(pki.ca)}`,
    "users:",
    `  - name: ${context}-admin`,
    "    user:",
    `      client-certificate-data: ${base64(pki.admin.certificate)}`,
    `      client-key-data: ${base64(pki.admin.privateKey)}`,
    "contexts:",
    `  - name: ${context}`,
    "    context:",
    `      cluster: ${context}`,
    `      user: ${context}-admin`,
    `current-context: ${context}`,
    "",
  ].join("\n");
}
