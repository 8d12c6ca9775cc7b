/** The log's view of a request that never became one: the codec refused it, or the client left in the middle of its head. */
import type { Http1Problem } from "#wire/http1/problem.ts";
import { statusLine } from "#wire/http1/reason.ts";
import type { AccessRecord } from "#decide/access-log/access-log.ts";
import { connectionRecord } from "#proxy/listen/connection-record.ts";
import type { Downstream } from "#proxy/listen/downstream.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import { FLAG } from "./flags.ts";

export function refusedRequest(machine: ProxyMachine, downstream: Downstream, problem: Http1Problem): AccessRecord {
  const bytesSent = statusLine(problem.status).slice("HTTP/1.1 400 ".length, -2).length;
  return { ...unknownRequest(machine, downstream), bytesSent, status: problem.status, statusDetails: problem.detail, flags: FLAG.downstreamProtocolError };
}

export function brokenOffRequest(machine: ProxyMachine, downstream: Downstream): AccessRecord {
  return { ...unknownRequest(machine, downstream), statusDetails: "downstream_remote_disconnect", flags: FLAG.downstreamTermination };
}

function unknownRequest(machine: ProxyMachine, downstream: Downstream): AccessRecord {
  const whole = connectionRecord(machine, downstream);
  return { ...whole, startMs: machine.clock.now(), durationMs: 0, bytesReceived: 0, bytesSent: 0, protocol: "HTTP/1.1" };
}
