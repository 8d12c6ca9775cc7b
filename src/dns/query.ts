/** A question on its way through the chain of handlers, and what one of them says to it. */
import { RCODES, type ResourceRecord } from "#wire/dns/message.ts";

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

/** undefined: the next handler is asked. */
export type Handler = (query: Query) => Promise<Answer | undefined> | Answer | undefined;

export function toQuery(name: string, type: number): Query {
  return { name, key: name.toLowerCase(), type };
}

export function failure(rcode: keyof typeof RCODES): Answer {
  return { rcode: RCODES[rcode], authoritative: false, answers: [], authorities: [], additionals: [] };
}

/** Asks one handler after the other. Nobody knows: REFUSED. */
export async function ask(chain: readonly Handler[], query: Query): Promise<Answer> {
  for (const handler of chain) {
    const answer = await handler(query);
    if (answer !== undefined) return answer;
  }
  return failure("REFUSED");
}
