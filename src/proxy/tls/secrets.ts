/** Certificates and trust bundles by name, from SDS or from the bootstrap. Who uses one asks again when `generation` moved. */
import type { CertificateValidationContext, TlsCertificate } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import type { Secret } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { ConfigProblem } from "#decide/config-problem.ts";
import type { Files } from "#host/files.ts";
import { readDataSource } from "#proxy/config/data-source.ts";
import { compilePeerNames, type PeerNames } from "./peer-names.ts";

export interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface Trust {
  /** PEM bundle; undefined: peers are not verified. */
  readonly ca: string | undefined;
  readonly peerNames: PeerNames | undefined;
}

export class Secrets {
  readonly #files: Files;
  readonly #keyPairs = new Map<string, KeyPair>();
  readonly #trusts = new Map<string, Trust>();
  /** Messages as received, for /config_dump. */
  readonly messages = new Map<string, Secret>();
  generation = 0;
  /** Asks the xDS client for a name; set when there is one. */
  request: (name: string) => void = () => undefined;

  constructor(files: Files) {
    this.#files = files;
  }

  keyPair(name: string): KeyPair | undefined {
    return this.#keyPairs.get(name);
  }

  trust(name: string): Trust | undefined {
    return this.#trusts.get(name);
  }

  has(name: string): boolean {
    return this.#keyPairs.has(name) || this.#trusts.has(name);
  }

  async set(secret: Secret): Promise<void> {
    const path = `secret "${secret.name}"`;
    if (secret.type.case === "tlsCertificate") this.#keyPairs.set(secret.name, await readKeyPair(secret.type.value, this.#files, `${path}.tls_certificate`));
    else if (secret.type.case === "validationContext")
      this.#trusts.set(secret.name, await readTrust(secret.type.value, this.#files, `${path}.validation_context`));
    else throw new ConfigProblem(path, `has ${secret.type.case ?? "no type"}; only tls_certificate and validation_context are supported by weft proxy`);
    this.messages.set(secret.name, secret);
    this.generation++;
  }
}

export async function readKeyPair(message: TlsCertificate, files: Files, path: string): Promise<KeyPair> {
  const certificate = await readDataSource(message.certificateChain, files, `${path}.certificate_chain`);
  const privateKey = await readDataSource(message.privateKey, files, `${path}.private_key`);
  if (certificate === undefined || privateKey === undefined) throw new ConfigProblem(path, "needs certificate_chain and private_key");
  return { certificate, privateKey };
}

export async function readTrust(message: CertificateValidationContext, files: Files, path: string): Promise<Trust> {
  const ca = await readDataSource(message.trustedCa, files, `${path}.trusted_ca`);
  return { ca, peerNames: compilePeerNames(message, path) };
}
