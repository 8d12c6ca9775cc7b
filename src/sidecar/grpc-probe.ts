/** kubelet's gRPC probe: the health checking protocol, in clear. */
import type { Host } from "#host/host.ts";
import type { ProbeResult } from "#run/probe.ts";
import { decodeHealthResponse, encodeHealthRequest, HEALTH_CHECK, type ServingStatus } from "#wire/grpc-health.ts";

export interface GrpcQuestion {
  readonly ip: string;
  readonly port: number;
  readonly service: string;
}

export function probeGrpc(host: Pick<Host, "rpc" | "clock">, { ip, port, service }: GrpcQuestion, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const channel = host.rpc.connect({ address: { ip, port } });
    let status: ServingStatus | undefined;
    const finish = (result: ProbeResult): void => {
      timer.cancel();
      channel.close();
      resolve(result);
    };
    const timer = host.clock.after(timeoutMs, () => finish({ ok: false, message: `no answer within ${timeoutMs} ms` }));
    const call = channel.call(
      HEALTH_CHECK,
      {},
      {
        onMessage(message) {
          status = decodeHealthResponse(message);
        },
        onClose({ code, message }) {
          const service_ = service === "" ? "the server" : `service "${service}"`;
          if (code !== 0) finish({ ok: false, message: `${HEALTH_CHECK} ended with gRPC status ${code}: ${message}` });
          else finish({ ok: status === "SERVING", message: status === "SERVING" ? "" : `${service_} is ${status ?? "of no known status"}` });
        },
      },
    );
    call.send(encodeHealthRequest(service));
    call.end();
  });
}
