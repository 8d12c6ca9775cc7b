/**
 * Envoy's TLS contexts -> the host's. A context is compiled when a connection first needs it, and again after a secret
 * that it uses changed; open connections keep what they have.
 */
import { X509Certificate } from "node:crypto";
import type { CommonTlsContext, DownstreamTlsContext, UpstreamTlsContext } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { type TlsParameters, TlsParameters_TlsProtocol } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import type { SdsSecretConfig } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import type { Files } from "#host/files.ts";
import type { Net, TlsClientContext, TlsFacts, TlsServerContext, TlsServerOptions } from "#host/net.ts";
import type { PeerNames } from "./peer-names.ts";
import { type KeyPair, readKeyPair, readTrust, type Secrets, type Trust } from "./secrets.ts";

export interface TlsMachine {
  readonly net: Net;
  readonly files: Files;
  readonly secrets: Secrets;
}

type TlsParams = Pick<TlsServerOptions, "minVersion" | "maxVersion" | "ciphers" | "curves">;

function readParams(message: TlsParameters | undefined, path: string): TlsParams {
  const { TLSv1_2, TLSv1_3, TLS_AUTO } = TlsParameters_TlsProtocol;
  const min = message?.tlsMinimumProtocolVersion ?? TLS_AUTO;
  const max = message?.tlsMaximumProtocolVersion ?? TLS_AUTO;
  if (max !== TLS_AUTO && max < TLSv1_2) throw new ConfigProblem(`${path}.tls_maximum_protocol_version`, "is below TLSv1_2, the oldest that weft proxy speaks");
  // Envoy writes [A|B] for ciphers of equal rank: here the first is the first.
  const ciphers = message?.cipherSuites.join(":").replace(/[[\]]/g, "").replaceAll("|", ":") ?? "";
  const curves = message?.ecdhCurves.join(":") ?? "";
  return {
    minVersion: min === TLSv1_3 ? "TLSv1.3" : "TLSv1.2",
    ...(max === TLSv1_2 ? { maxVersion: "TLSv1.2" as const } : {}),
    ...(ciphers === "" ? {} : { ciphers }),
    ...(curves === "" ? {} : { curves }),
  };
}

/** What a common_tls_context says, with names of secrets still to be looked up. */
interface Material {
  readonly keyPair: KeyPair | undefined;
  readonly keyPairSecret: string | undefined;
  readonly trust: Trust | undefined;
  readonly trustSecret: string | undefined;
  readonly peerNames: PeerNames | undefined;
  readonly alpn: readonly string[];
  readonly params: TlsParams;
}

async function readCommon(common: CommonTlsContext | undefined, machine: TlsMachine, path: string): Promise<Material> {
  const { files, secrets } = machine;
  const inline = common?.tlsCertificates[0];
  const sds = common?.tlsCertificateSdsSecretConfigs[0];
  const ask = (config: SdsSecretConfig | undefined): string | undefined => {
    if (config === undefined) return undefined;
    if (!secrets.has(config.name) && config.sdsConfig !== undefined) secrets.request(config.name);
    return config.name;
  };
  const validation = common?.validationContextType;
  let trust: Trust | undefined;
  let peerNames: PeerNames | undefined;
  let trustSecret: string | undefined;
  if (validation?.case === "validationContext") {
    trust = await readTrust(validation.value, files, `${path}.validation_context`);
    peerNames = trust.peerNames;
  } else if (validation?.case === "validationContextSdsSecretConfig") trustSecret = ask(validation.value);
  else if (validation?.case === "combinedValidationContext") {
    const fallback = validation.value.defaultValidationContext;
    if (fallback !== undefined) trust = await readTrust(fallback, files, `${path}.combined_validation_context.default_validation_context`);
    peerNames = trust?.peerNames;
    trustSecret = ask(validation.value.validationContextSdsSecretConfig);
  } else if (validation?.case !== undefined) throw new ConfigProblem(`${path}.${validation.case}`, NOT_SUPPORTED);
  return {
    keyPair: inline === undefined ? undefined : await readKeyPair(inline, files, `${path}.tls_certificates[0]`),
    keyPairSecret: ask(sds),
    trust,
    trustSecret,
    peerNames,
    alpn: common?.alpnProtocols ?? [],
    params: readParams(common?.tlsParams, `${path}.tls_params`),
  };
}

/** The material with its secrets; undefined while one has not come. */
function complete(
  material: Material,
  secrets: Secrets,
): { keyPair: KeyPair | undefined; ca: string | undefined; peerNames: PeerNames | undefined } | undefined {
  const keyPair = material.keyPairSecret === undefined ? material.keyPair : secrets.keyPair(material.keyPairSecret);
  const secretTrust = material.trustSecret === undefined ? undefined : secrets.trust(material.trustSecret);
  if (material.keyPairSecret !== undefined && keyPair === undefined) return undefined;
  if (material.trustSecret !== undefined && secretTrust === undefined) return undefined;
  const both = [material.peerNames, secretTrust?.peerNames].filter((names) => names !== undefined);
  const [first] = both;
  const peerNames = both.length <= 1 ? first : (facts: TlsFacts) => both.map((names) => names(facts)).find((reason) => reason !== undefined);
  return { keyPair, ca: secretTrust?.ca ?? material.trust?.ca, peerNames };
}

export class ServerTls {
  readonly #machine: TlsMachine;
  readonly #material: Material;
  readonly #requireClientCertificate: boolean;
  #context: TlsServerContext | undefined;
  #generation = -1;
  /** The first URI that our certificate names: our own identity, for the next hop and for logs. */
  localUri: string | undefined = undefined;

  private constructor(machine: TlsMachine, material: Material, requireClientCertificate: boolean) {
    this.#machine = machine;
    this.#material = material;
    this.#requireClientCertificate = requireClientCertificate;
  }

  static async make(config: DownstreamTlsContext, machine: TlsMachine, path: string): Promise<ServerTls> {
    const material = await readCommon(config.commonTlsContext, machine, `${path}.common_tls_context`);
    if (material.keyPair === undefined && material.keyPairSecret === undefined)
      throw new ConfigProblem(`${path}.common_tls_context`, "has no certificate; give tls_certificates or tls_certificate_sds_secret_configs");
    const made = new ServerTls(machine, material, config.requireClientCertificate ?? false);
    made.context();
    return made;
  }

  /** undefined: a secret has not come yet. */
  context(): TlsServerContext | undefined {
    const { secrets, net } = this.#machine;
    if (this.#generation === secrets.generation) return this.#context;
    this.#generation = secrets.generation;
    const ready = complete(this.#material, secrets);
    if (ready?.keyPair === undefined) return this.#context;
    const verifies = ready.ca !== undefined;
    this.#context = net.tlsServer({
      certificate: ready.keyPair.certificate,
      privateKey: ready.keyPair.privateKey,
      ...(ready.ca === undefined ? {} : { ca: ready.ca }),
      clientCertificate: this.#requireClientCertificate ? "require" : verifies ? "request" : "none",
      alpn: this.#material.alpn,
      ...this.#material.params,
      ...(ready.peerNames === undefined ? {} : { verifyPeer: ready.peerNames }),
    });
    this.localUri = /(?:^|, )URI:([^,"]+)/.exec(new X509Certificate(ready.keyPair.certificate).subjectAltName ?? "")?.[1];
    return this.#context;
  }
}

export class ClientTls {
  readonly #machine: TlsMachine;
  readonly #material: Material;
  readonly serverName: string | undefined;
  #context: TlsClientContext | undefined;
  #generation = -1;

  private constructor(machine: TlsMachine, material: Material, serverName: string | undefined) {
    this.#machine = machine;
    this.#material = material;
    this.serverName = serverName;
  }

  static async make(config: UpstreamTlsContext, machine: TlsMachine, path: string): Promise<ClientTls> {
    const material = await readCommon(config.commonTlsContext, machine, `${path}.common_tls_context`);
    const made = new ClientTls(machine, material, config.sni === "" ? undefined : config.sni);
    made.context();
    return made;
  }

  context(): TlsClientContext | undefined {
    const { secrets, net } = this.#machine;
    if (this.#generation === secrets.generation) return this.#context;
    this.#generation = secrets.generation;
    const ready = complete(this.#material, secrets);
    if (ready === undefined) return this.#context;
    this.#context = net.tlsClient({
      ...(ready.keyPair === undefined ? {} : { certificate: ready.keyPair.certificate, privateKey: ready.keyPair.privateKey }),
      ...(ready.ca === undefined ? {} : { ca: ready.ca }),
      alpn: this.#material.alpn,
      ...this.#material.params,
      ...(ready.peerNames === undefined ? {} : { verifyPeer: ready.peerNames }),
    });
    return this.#context;
  }
}
