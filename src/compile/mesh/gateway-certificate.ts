/** Certificates that gateways show: which Secret a listener names, and whether it can be used. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Secret } from "#model/core.ts";
import type { Gateway, GatewayListener } from "#model/gateway-api.ts";
import type { WorldReader } from "#model/world.ts";

/** PEM. */
export interface Certificate {
  readonly chain: string;
  readonly privateKey: string;
}

export interface CertificateProblem {
  readonly problem: string;
}

/** As kubernetes.io/tls has it (`tls.crt`, `tls.key`), or as Istio's generic secrets do (`cert`, `key`). */
export function certificateIn(key: string, secret: Secret | undefined): Certificate | CertificateProblem {
  if (secret === undefined) return { problem: `Secret ${key} does not exist` };
  const names = secret.data?.["tls.crt"] === undefined && secret.data?.["cert"] !== undefined ? (["cert", "key"] as const) : (["tls.crt", "tls.key"] as const);
  const [chain, privateKey] = names.map((name) => Buffer.from(secret.data?.[name] ?? "", "base64").toString());
  if (chain === undefined || chain === "") return { problem: `Secret ${key} has no data["${names[0]}"]` };
  if (privateKey === undefined || privateKey === "") return { problem: `Secret ${key} has no data["${names[1]}"]` };
  const leaf = readable(() => new X509Certificate(chain));
  if (leaf === undefined) return { problem: `Secret ${key} data["${names[0]}"] is not a certificate in PEM` };
  const own = readable(() => createPrivateKey(privateKey));
  if (own === undefined) return { problem: `Secret ${key} data["${names[1]}"] is not a private key in PEM` };
  if (!leaf.checkPrivateKey(own)) return { problem: `Secret ${key} data["${names[1]}"] is not the key of the certificate in data["${names[0]}"]` };
  return { chain, privateKey };
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

export function isProblem(certificate: Certificate | CertificateProblem): certificate is CertificateProblem {
  return "problem" in certificate;
}

export interface CertificateRef {
  /** "namespace/name" of the Secret. */
  readonly secret: string;
}

export interface RefProblem extends CertificateProblem {
  /** A reason of Gateway API's ResolvedRefs. */
  readonly reason: "InvalidCertificateRef" | "RefNotPermitted";
}

/** The Secret of a Gateway API listener that ends TLS; the first, of several. */
export function listenerCertificate(gateway: Gateway, listener: GatewayListener, world: WorldReader): CertificateRef | RefProblem {
  const [ref] = listener.tls?.certificateRefs ?? [];
  if (ref === undefined) return { reason: "InvalidCertificateRef", problem: "there is no certificate" };
  if ((ref.group ?? "") !== "" || (ref.kind ?? "Secret") !== "Secret")
    return { reason: "InvalidCertificateRef", problem: `a certificate of kind ${ref.kind ?? "Secret"} is not supported; use a Secret` };
  const own = gateway.metadata.namespace ?? "";
  const namespace = ref.namespace ?? own;
  if (namespace !== own && !isGranted(own, namespace, ref.name, world))
    return { reason: "RefNotPermitted", problem: `no ReferenceGrant in namespace ${namespace} lets Gateways of ${own} name Secret ${ref.name}` };
  return { secret: `${namespace}/${ref.name}` };
}

function isGranted(from: string, namespace: string, name: string, world: WorldReader): boolean {
  return world
    .inNamespace("ReferenceGrant", namespace)
    .some(
      ({ spec }) =>
        spec.from.some((each) => each.group === "gateway.networking.k8s.io" && each.kind === "Gateway" && each.namespace === from) &&
        spec.to.some((each) => each.group === "" && each.kind === "Secret" && (each.name === undefined || each.name === name)),
    );
}
