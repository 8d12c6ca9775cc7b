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

/** What exactly went wrong is for the log: a stranger learns nothing of the hosts behind. */
export function resetText(reason: string, retried: boolean): string {
  return `upstream connect error or disconnect/reset before headers. ${retried ? "retried and the latest reset reason" : "reset reason"}: ${reason}`;
}
