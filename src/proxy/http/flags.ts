/** Envoy's response flags, short form, and the texts of its own answers. */
export const FLAG = {
  noHealthyUpstream: "UH",
  upstreamConnectionFailure: "UF",
  upstreamConnectionTermination: "UC",
  upstreamRemoteReset: "UR",
  upstreamProtocolError: "UPE",
  upstreamOverflow: "UO",
  upstreamRetryLimit: "URX",
  upstreamTimeout: "UT",
  noRoute: "NR",
  noCluster: "NC",
  downstreamTermination: "DC",
  downstreamProtocolError: "DPE",
  streamIdleTimeout: "SI",
  faultInjected: "FI",
  delayInjected: "DI",
} as const;

export function resetText(reason: string, transportFailure: string | undefined, retried: boolean): string {
  const cause = transportFailure === undefined ? "" : `, transport failure reason: ${transportFailure}`;
  return `upstream connect error or disconnect/reset before headers. ${retried ? "retried and the latest reset reason" : "reset reason"}: ${reason}${cause}`;
}
