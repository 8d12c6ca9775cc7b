import type { ProgramResult } from "#tools/run-program.ts";

export interface Seen {
  readonly text: string;
  readonly ready: boolean;
  readonly node: string | undefined;
}

/** What the demo's checks need of a cluster with Bookinfo and its visitor: the embedded one, or one of Kubernetes. */
export interface World {
  /** Of the gateway, as this process reaches it: "http://127.0.0.1:18080". */
  readonly gateway: string;
  /** Weft carries packets between nodes and enforces NetworkPolicy; not where it is the mesh behind another network. */
  readonly isNetworkOurs: boolean;
  look(): Promise<{ readonly nodes: readonly Seen[]; readonly pods: readonly Seen[] }>;
  /** A file of examples/demo. */
  apply(file: string): Promise<void>;
  remove(file: string): Promise<void>;
  /** Address of a pod of Bookinfo that is on another node than the visitor. */
  addressAcross(): Promise<string>;
  /** Runs a program as a Deployment's pod would: "productpage-v1", or "visitors/visitor". */
  inside(deployment: string, ...command: readonly string[]): Promise<ProgramResult>;
  /** Runs `weft COMMAND` for this cluster. */
  weft(...command: readonly [string, ...string[]]): Promise<ProgramResult>;
  /** The same as a person would type it. */
  typed(...command: readonly [string, ...string[]]): string;
}

/** Of what travels between the nodes. */
export interface Capture {
  /** Ends it; its frames. */
  finish(): Promise<readonly Uint8Array[]>;
}
