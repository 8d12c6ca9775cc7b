/** What a listener's own access log sees of a connection, whatever became of it: no request, but why it was refused. */
import type { AccessRecord } from "#decide/access-log/access-log.ts";
import type { ProxyMachine } from "#proxy/machine.ts";
import type { Downstream } from "./downstream.ts";

export function connectionRecord(machine: ProxyMachine, downstream: Downstream): AccessRecord {
  const durationMs = Math.round(machine.clock.monotonic() - downstream.startedAtMs);
  return {
    request: undefined,
    response: () => undefined,
    startMs: machine.clock.now() - durationMs,
    protocol: undefined,
    status: 0,
    statusDetails: undefined,
    flags: downstream.flags,
    terminationDetails: downstream.terminationDetails,
    bytesReceived: downstream.bytesReceived,
    bytesSent: downstream.connection.sentBytes,
    durationMs,
    responseDurationMs: undefined,
    upstreamHost: undefined,
    upstreamCluster: undefined,
    upstreamLocal: undefined,
    upstreamFailure: undefined,
    downstreamFailure: downstream.transportFailure,
    attempts: 0,
    local: downstream.local,
    remote: downstream.directRemoteText,
    directRemote: downstream.directRemoteText,
    serverName: downstream.serverName,
    routeName: undefined,
    peerUri: downstream.peer?.uris[0],
    localUri: downstream.localUri,
    tlsVersion: downstream.tls?.version,
  };
}
