/** Certificates for the Rpc contract. */
import { authority } from "./certificates.ts";
import type { RpcContractSetup } from "./rpc.ts";

export async function contractPki(): Promise<RpcContractSetup["pki"]> {
  const [own, other] = [await authority("own"), await authority("other")];
  const names = [
    { type: "ip", value: "127.0.0.1" },
    { type: "dns", value: "localhost" },
  ] as const;
  return {
    ca: own.ca,
    server: await own.issue([...names]),
    client: await own.issue([{ type: "dns", value: "client" }]),
    stranger: { certificate: other.ca, privateKey: other.privateKey },
  };
}
