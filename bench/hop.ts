/** One proxy of a chain, and what it is to do. */
import type { CertificateFiles } from "./certificates.ts";

/** Plain: HTTP in, HTTP out. Client: HTTP in, mTLS out. Server: mTLS in, HTTP out. */
export type Role = "plain" | "client" | "server";

export interface Hop {
  readonly role: Role;
  readonly port: number;
  readonly upstreamPort: number;
  readonly certificates: CertificateFiles;
  /** For configuration and scratch files. */
  readonly folder: string;
}
