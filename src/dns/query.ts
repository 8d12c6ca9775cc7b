/** A question on its way through the chain of handlers, and what one of them says to it. */
import type { Answer, Query } from "#decide/name/query.ts";
import { RCODES } from "#wire/dns/message.ts";

/** undefined: the next handler is asked. */
export type Handler = (query: Query) => Promise<Answer | undefined> | Answer | undefined;

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
