/** The two messages of gRPC's health checking protocol (grpc.health.v1), which kubelet asks of containers. */
export const HEALTH_CHECK = "/grpc.health.v1.Health/Check";

/** HealthCheckResponse.ServingStatus. */
const STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"] as const;
export type ServingStatus = (typeof STATUSES)[number];

const STRING_FIELD_1 = 0x0a;
const VARINT_FIELD_1 = 0x08;
/** A length that needs one byte; names of services have at most 253. */
const ONE_BYTE = 0x80;

/** HealthCheckRequest { service = 1 }; "" asks for the whole server, and is not written (proto3). */
export function encodeHealthRequest(service: string): Uint8Array {
  const name = new TextEncoder().encode(service);
  if (name.length === 0) return new Uint8Array();
  const length = name.length < ONE_BYTE ? [name.length] : [(name.length & 0x7f) | ONE_BYTE, name.length >> 7];
  return Uint8Array.from([STRING_FIELD_1, ...length, ...name]);
}

/** HealthCheckResponse { status = 1 }; absent is 0. Undefined: not such a message. */
export function decodeHealthResponse(message: Uint8Array): ServingStatus | undefined {
  if (message.length === 0) return "UNKNOWN";
  return message.length === 2 && message[0] === VARINT_FIELD_1 ? STATUSES[message[1] ?? 0] : undefined;
}
