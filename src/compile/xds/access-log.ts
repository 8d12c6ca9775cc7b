/** What every listener writes of each request and connection, to the proxy's standard output. */
import { create } from "@bufbuild/protobuf";
import { AccessLogSchema, type AccessLog } from "#wire/envoy/gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import { StdoutAccessLogSchema } from "#wire/envoy/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts";
import { extension } from "./message.ts";

const fields = [
  "[%START_TIME%]",
  '"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"',
  "%RESPONSE_CODE%",
  "%RESPONSE_FLAGS%",
  "%RESPONSE_CODE_DETAILS%",
  "%CONNECTION_TERMINATION_DETAILS%",
  '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"',
  "%BYTES_RECEIVED%",
  "%BYTES_SENT%",
  "%DURATION%",
  '"%REQ(X-REQUEST-ID)%"',
  '"%REQ(:AUTHORITY)%"',
  '"%UPSTREAM_HOST%"',
  "%UPSTREAM_CLUSTER%",
  "%DOWNSTREAM_LOCAL_ADDRESS%",
  "%DOWNSTREAM_REMOTE_ADDRESS%",
  "%REQUESTED_SERVER_NAME%",
  "%DOWNSTREAM_PEER_URI_SAN%",
  "%ROUTE_NAME%",
];

export function accessLog(): readonly [AccessLog] {
  const format = { case: "textFormatSource", value: { specifier: { case: "inlineString", value: `${fields.join(" ")}\n` } } } as const;
  const log = extension("envoy.access_loggers.stdout", StdoutAccessLogSchema, { accessLogFormat: { case: "logFormat", value: { format } } });
  return [create(AccessLogSchema, log)];
}
