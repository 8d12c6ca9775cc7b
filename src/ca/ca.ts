/**
 * The mesh's certificate authority as a gRPC service: Istio's `IstioCertificateService`, so that agents of either system
 * can ask it.
 *
 * The transport is mTLS with node certificates. Who may have which identity is not decided here: `authorize` (control)
 * maps the caller's certificate and call metadata to a workload of the World, or refuses. The request itself is never
 * believed: it must ask for that workload's SPIFFE id and nothing else (svid.ts).
 *
 * Keys of workloads never come here, only their certificate requests. The CA's own key is read by this process alone.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { RPC_STATUS } from "#host/rpc.ts";
import type { RpcMethod, RpcServerCall } from "#host/rpc.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "#wire/envoy/gen/istio/v1/auth/ca_pb.ts";
import type { KeyPair } from "./certificate.ts";
import { issueKeyPair, newMeshRoot } from "./root.ts";
import { meshCa } from "./svid.ts";
import type { MeshCa, WorkloadIdentity } from "./svid.ts";

export { issueKeyPair, meshCa, newMeshRoot };
export type { KeyPair };

const CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

type Authorize = (call: Pick<RpcServerCall, "metadata" | "peer">) => WorkloadIdentity | { readonly refused: string };

export function certificateService(ca: MeshCa, authorize: Authorize): Readonly<Record<string, RpcMethod>> {
  return {
    [CREATE_CERTIFICATE]: (call) => ({
      onMessage(message) {
        void answer(ca, authorize, { call, message }).catch((error: unknown) => call.end(RPC_STATUS.internal, `cannot sign: ${String(error)}`));
      },
    }),
  };
}

async function answer(ca: MeshCa, authorize: Authorize, { call, message }: { call: RpcServerCall; message: Uint8Array }): Promise<void> {
  const identity = authorize(call);
  if ("refused" in identity) return call.end(RPC_STATUS.permissionDenied, identity.refused);
  let request;
  try {
    request = fromBinary(IstioCertificateRequestSchema, message);
  } catch (error) {
    return call.end(RPC_STATUS.invalidArgument, `request is not an IstioCertificateRequest: ${String(error)}`);
  }
  const seconds = request.validityDuration <= 0n ? 12 * 3600 : Number(request.validityDuration);
  const signed = await ca.sign(request.csr, identity, seconds * 1000);
  if (signed.kind === "refused") return call.end(RPC_STATUS.permissionDenied, signed.message);
  call.send(toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain: [...signed.chain] })));
  call.end();
}
