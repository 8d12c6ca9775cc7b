/** The log's view of a request that the codec refused: nothing of it is known but why. */
import type { Http1Problem } from "#wire/http1/problem.ts";
import { statusLine } from "#wire/http1/reason.ts";
import type { AccessRecord } from "#decide/access-log/access-log.ts";
import { connectionRecord } from "#proxy/listen/connection-record.ts";
import type { Downstream } from "#proxy/listen/downstream.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import { FLAG } from "./flags.ts";

export function refusedRequest(machine: ProxyMachine, downstream: Downstream, problem: Http1Problem): AccessRecord {
  return {
    ...connectionRecord(machine, downstream),
    startMs: machine.clock.now(),
    durationMs: 0,
    bytesReceived: 0,
    bytesSent: statusLine(problem.status).slice("HTTP/1.1 400 ".length, -2).length,
    protocol: "HTTP/1.1",
    status: problem.status,
    statusDetails: problem.detail,
    flags: FLAG.downstreamProtocolError,
  };
}
