/**
 * The mesh's CA: turns a certificate request into an X.509-SVID. What a workload is called comes from the caller of
 * `sign` (who looked it up); the request must ask for exactly that and prove that it holds the key.
 */
import type { webcrypto } from "node:crypto";
import { loadX509, openAuthority } from "./certificate.ts";
import type { Authority, CertificateHost, KeyPair } from "./certificate.ts";

/** Istio's default trust domain, and the only one that Weft has. */
const TRUST_DOMAIN = "cluster.local";

export interface WorkloadIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** "spiffe://cluster.local/ns/default/sa/bookinfo-reviews". */
function spiffeId(identity: WorkloadIdentity): string {
  return `spiffe://${TRUST_DOMAIN}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}

type SignAnswer = { readonly kind: "signed"; readonly chain: readonly string[] } | { readonly kind: "refused"; readonly message: string };

export interface MeshCa {
  /** PEM of the root: what workloads trust. */
  readonly root: string;
  sign(csr: string, identity: WorkloadIdentity, lifetimeMs: number): Promise<SignAnswer>;
}

/** An SVID lives 12 h at most, so that one that leaked is soon worthless; the agent renews it at half. */
const MAX_LIFETIME_MS = 12 * 3_600_000;
const MIN_LIFETIME_MS = 60_000;

/** RFC 5280 4.2.1.6. */
const SUBJECT_ALT_NAME = "2.5.29.17";

/** `root` is read when the first request comes. */
export function meshCa(host: CertificateHost, root: KeyPair): MeshCa {
  let authority: Promise<Authority> | undefined;
  return {
    root: root.certificate,
    async sign(csr, identity, lifetimeMs) {
      const wanted = spiffeId(identity);
      const request = await readRequest(csr, wanted);
      if (typeof request === "string") return { kind: "refused", message: request };
      authority ??= openAuthority(root);
      const signer = await authority;
      const leaf = await signer.sign(host, request.publicKey, {
        uris: [wanted],
        usages: ["server", "client"],
        lifetimeMs: Math.max(MIN_LIFETIME_MS, Math.min(lifetimeMs, MAX_LIFETIME_MS)),
      });
      return { kind: "signed", chain: [leaf, root.certificate] };
    },
  };
}

/** The key that the request proves, or why the request is refused. */
async function readRequest(csr: string, wanted: string): Promise<{ publicKey: webcrypto.CryptoKey } | string> {
  const x509 = await loadX509();
  let request;
  try {
    request = new x509.Pkcs10CertificateRequest(csr);
  } catch (error) {
    return `csr is not a PKCS #10 request in PEM: ${error instanceof Error ? error.message : String(error)}`;
  }
  const algorithm = request.publicKey.algorithm as { name: string; namedCurve?: string };
  if (algorithm.name !== "ECDSA" || algorithm.namedCurve !== "P-256") {
    return `csr has a key of kind ${algorithm.name} ${algorithm.namedCurve ?? ""}; an SVID's key is ECDSA P-256`;
  }
  const extension = request.getExtension(SUBJECT_ALT_NAME);
  const names = extension instanceof x509.SubjectAlternativeNameExtension ? extension.names.items : [];
  const [name] = names;
  if (names.length !== 1 || name?.type !== "url")
    return `csr must ask for one URI name, "${wanted}"; it asks for ${names.length === 0 ? "none" : names.map((each) => `"${each.value}"`).join(", ")}`;
  if (name.value !== wanted) return `csr asks for "${name.value}", but its pod is "${wanted}"`;
  if (!(await request.verify())) return "csr is not signed by the key it carries";
  return { publicKey: await request.publicKey.export() };
}
