/** What a resolver that asks others sends. */
import { CLASS_IN, type DnsMessage } from "./message.ts";

/** One question that wants recursion; `edns` as the asker can take it. */
export function questionMessage({ id, name, type, edns }: Pick<DnsMessage, "id" | "edns"> & { readonly name: string; readonly type: number }): DnsMessage {
  return {
    id,
    response: false,
    opcode: 0,
    authoritative: false,
    truncated: false,
    recursionDesired: true,
    recursionAvailable: false,
    authenticData: false,
    checkingDisabled: false,
    rcode: 0,
    questions: [{ name, type, class: CLASS_IN }],
    answers: [],
    authorities: [],
    additionals: [],
    edns,
  };
}
