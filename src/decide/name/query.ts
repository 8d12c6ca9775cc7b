/** A question to a name server, and what is said to it. */
import type { ResourceRecord } from "#wire/dns/message.ts";

export interface Query {
  /** As asked: answers keep its case. */
  readonly name: string;
  /** Lower case. */
  readonly key: string;
  readonly type: number;
}

export interface Answer {
  readonly rcode: number;
  readonly authoritative: boolean;
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  readonly additionals: readonly ResourceRecord[];
}

export function toQuery(name: string, type: number): Query {
  return { name, key: name.toLowerCase(), type };
}
