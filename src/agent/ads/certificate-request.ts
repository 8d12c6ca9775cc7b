/**
 * A workload's key and its PKCS #10 request (RFC 2986), written as DER by hand: it is one fixed shape, and agents on
 * every node would otherwise load a library of 10 MB for it.
 */
import { generateKeyPairSync, sign } from "node:crypto";

export interface KeyAndRequest {
  /** PKCS#8 PEM. Never leaves the agent but to the pod's own proxy. */
  readonly privateKey: string;
  /** PEM. */
  readonly request: string;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const OCTET_STRING = 0x04;
const BIT_STRING = 0x03;
/** [0] constructed: the attributes of a CertificationRequestInfo. */
const ATTRIBUTES = 0xa0;
/** [6] primitive: uniformResourceIdentifier of a GeneralName (RFC 5280 4.2.1.6). */
const URI_NAME = 0x86;

/** 1.2.840.113549.1.9.14, extensionRequest. */
const EXTENSION_REQUEST = Buffer.from("06092a864886f70d01090e", "hex");
/** 2.5.29.17, subjectAltName. */
const SUBJECT_ALT_NAME = Buffer.from("0603551d11", "hex");
/** 1.2.840.10045.4.3.2, ecdsa-with-SHA256. */
const ECDSA_WITH_SHA256 = Buffer.from("06082a8648ce3d040302", "hex");
const VERSION_0 = Buffer.from("020100", "hex");
const TRUE = Buffer.from("0101ff", "hex");

/** A new P-256 key and a request for a certificate whose only name is `uri`. */
export function newKeyAndRequest(uri: string): KeyAndRequest {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const names = der(SEQUENCE, der(URI_NAME, Buffer.from(uri, "ascii")));
  const extension = der(SEQUENCE, SUBJECT_ALT_NAME, TRUE, der(OCTET_STRING, names));
  const attribute = der(SEQUENCE, EXTENSION_REQUEST, der(SET, der(SEQUENCE, extension)));
  const emptySubject = der(SEQUENCE);
  const info = der(SEQUENCE, VERSION_0, emptySubject, publicKey.export({ type: "spki", format: "der" }), der(ATTRIBUTES, attribute));
  const signature = sign("sha256", info, privateKey);
  const request = der(SEQUENCE, info, der(SEQUENCE, ECDSA_WITH_SHA256), der(BIT_STRING, Buffer.of(0), signature));
  const lines = request.toString("base64").match(/.{1,64}/g) ?? [];
  return {
    privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    request: `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join("\n")}\n-----END CERTIFICATE REQUEST-----\n`,
  };
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(tag), length(content.length), content]);
}

/** X.690 8.1.3: short form below 128, else the count of length bytes and they. */
function length(size: number): Buffer {
  if (size < 0x80) return Buffer.of(size);
  return size < 0x100 ? Buffer.of(0x81, size) : Buffer.of(0x82, size >> 8, size & 0xff);
}
