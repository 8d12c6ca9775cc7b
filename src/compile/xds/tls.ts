/**
 * mTLS between proxies: TLS 1.3 with the workload's certificate (secret `default`) and the mesh's roots (`ROOTCA`), which
 * never travel in configuration. The client asks for ALPN "istio", so that a permissive server knows mesh TLS from TLS that
 * is the application's own.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { TransportSocketSchema } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { RawBufferSchema } from "#wire/envoy/gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts";
import { SubjectAltNameMatcher_SanType, TlsParameters_TlsProtocol } from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import {
  CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
  type CommonTlsContext,
} from "#wire/envoy/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { trustDomain } from "#compile/mesh/settings.ts";
import { ads, extension } from "./message.ts";
import { secretName } from "./names.ts";
import { stringMatcher, type TextToMatch } from "./text-matcher.ts";

type TransportSocket = MessageInitShape<typeof TransportSocketSchema>;

export const meshAlpn = "istio";
/** What Istio's own clients offer. */
export const meshAlpns = [meshAlpn, "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

export function plainSocket(): TransportSocket {
  return extension("envoy.transport_sockets.raw_buffer", RawBufferSchema, {});
}

/** Any identity of the trust domain may call: who may do what is the business of AuthorizationPolicies. */
export function serverSocket(): TransportSocket {
  return extension("envoy.transport_sockets.tls", DownstreamTlsContextSchema, {
    commonTlsContext: tlsContext([{ kind: "prefix", value: `spiffe://${trustDomain}/` }]),
    requireClientCertificate: true,
  });
}

/** HTTPS from outside, with the certificate of a Secret. */
export function gatewaySocket(secret: string): TransportSocket {
  return extension("envoy.transport_sockets.tls", DownstreamTlsContextSchema, {
    commonTlsContext: {
      tlsParams: { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2, tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3 },
      alpnProtocols: ["http/1.1"],
      tlsCertificateSdsSecretConfigs: [{ name: secretName(secret), sdsConfig: ads() }],
    },
    requireClientCertificate: false,
  });
}

/** Without identities the endpoints are unknown, and none is accepted but by the trust domain. */
export function clientSocket(identities: readonly string[], sni: string): TransportSocket {
  const names: TextToMatch[] = identities.map((value) => ({ kind: "exact", value }));
  return extension("envoy.transport_sockets.tls", UpstreamTlsContextSchema, {
    commonTlsContext: tlsContext(names.length > 0 ? names : [{ kind: "prefix", value: `spiffe://${trustDomain}/` }]),
    sni,
  });
}

function tlsContext(peers: readonly TextToMatch[]): CommonTlsContext {
  const { URI } = SubjectAltNameMatcher_SanType;
  return create(CommonTlsContextSchema, {
    tlsParams: { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3, tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3 },
    alpnProtocols: [meshAlpn],
    tlsCertificateSdsSecretConfigs: [{ name: "default", sdsConfig: ads() }],
    validationContextType: {
      case: "combinedValidationContext",
      value: {
        defaultValidationContext: { matchTypedSubjectAltNames: peers.map((peer) => ({ sanType: URI, matcher: stringMatcher(peer) })) },
        validationContextSdsSecretConfig: { name: "ROOTCA", sdsConfig: ads() },
      },
    },
  });
}
