/** What a node tells of one packet: the record behind `weft flows`. */
export interface FlowRecord {
  /** RFC 3339, by the node's clock. */
  readonly time: string;
  readonly node: string;
  readonly verdict: "dropped";
  readonly direction: "ingress" | "egress";
  readonly protocol: string;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  /** Policies that isolate the pod in that direction: "NetworkPolicy default/deny". Empty: not a policy's doing. */
  readonly policies: readonly string[];
  /** Why, in words. */
  readonly reason: string;
}

export interface FlowEnd {
  readonly ip: string;
  /** "default/reviews-v1-x" when the address is a pod's. */
  readonly pod?: string;
  readonly port?: number;
}
