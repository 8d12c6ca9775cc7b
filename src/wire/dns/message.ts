/** DNS messages as values (RFC 1035, EDNS by RFC 6891). Names are text without the last dot; labels keep their case. */
export interface DnsMessage {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  readonly authenticData: boolean;
  readonly checkingDisabled: boolean;
  /** 12 bits with EDNS. */
  readonly rcode: number;
  readonly questions: readonly Question[];
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  /** Without the OPT record, which is `edns`. */
  readonly additionals: readonly ResourceRecord[];
  readonly edns: Edns | undefined;
}

export interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

export interface Edns {
  /** What the sender can take by UDP. */
  readonly udpSizeBytes: number;
  readonly version: number;
  readonly dnssecOk: boolean;
}

export interface ResourceRecord {
  readonly name: string;
  readonly class: number;
  readonly ttlSeconds: number;
  readonly data: RecordData;
}

export type RecordData =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | { readonly type: "CNAME" | "NS" | "PTR"; readonly target: string }
  | { readonly type: "SRV"; readonly priority: number; readonly weight: number; readonly port: number; readonly target: string }
  | { readonly type: "MX"; readonly preference: number; readonly exchange: string }
  | { readonly type: "TXT"; readonly texts: readonly Uint8Array[] }
  | {
      readonly type: "SOA";
      readonly primary: string;
      readonly mailbox: string;
      readonly serial: number;
      readonly refresh: number;
      readonly retry: number;
      readonly expire: number;
      readonly minimum: number;
    }
  /** Anything else, passed on as it is (RFC 3597: such data holds no compressed names). */
  | { readonly type: "unknown"; readonly number: number; readonly bytes: Uint8Array };

/** IANA's numbers. */
export const TYPES = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, OPT: 41, ANY: 255 } as const;
export const RCODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;
export const CLASS_IN = 1;

export function typeNumber(data: RecordData): number {
  return data.type === "unknown" ? data.number : TYPES[data.type];
}

/** The peer sent what is not DNS. */
export class DnsFormatError extends Error {
  override readonly name = "DnsFormatError";
}
