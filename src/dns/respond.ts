/** One request message to one response message: what is wrong with a question is said here, the rest is the chain's. */
import type { Random } from "#host/random.ts";
import { decodeMessage } from "#wire/dns/decode.ts";
import { encodeMessage } from "#wire/dns/encode.ts";
import { CLASS_IN, DnsFormatError, RCODES, type DnsMessage, type ResourceRecord } from "#wire/dns/message.ts";
import { UDP_SIZE_BYTES } from "./forward.ts";
import { toQuery, type Answer } from "#decide/name/query.ts";
import { ask, failure, type Handler } from "./query.ts";

const MIN_UDP_BYTES = 512;
const MAX_TCP_BYTES = 65535;

/** undefined: not even the header can be read, or it is a response; nothing is sent. */
export async function respond(chain: readonly Handler[], random: Random, bytes: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | undefined> {
  const request = readRequest(bytes);
  if (request === undefined || request.response) return undefined;
  const { answer, rcode } = await answerTo(chain, request);
  const maxBytes = transport === "tcp" ? MAX_TCP_BYTES : Math.min(Math.max(request.edns?.udpSizeBytes ?? MIN_UDP_BYTES, MIN_UDP_BYTES), UDP_SIZE_BYTES);
  return encodeMessage(
    {
      ...request,
      response: true,
      authoritative: answer.authoritative,
      truncated: false,
      recursionAvailable: true,
      authenticData: false,
      rcode,
      answers: rotated(answer.answers, random),
      authorities: answer.authorities,
      additionals: answer.additionals,
      edns: request.edns === undefined ? undefined : { udpSizeBytes: UDP_SIZE_BYTES, version: 0, dnssecOk: false },
    },
    maxBytes,
  );
}

async function answerTo(chain: readonly Handler[], request: DnsMessage): Promise<{ answer: Answer; rcode: number }> {
  const refuse = (rcode: keyof typeof RCODES) => ({ answer: failure(rcode), rcode: RCODES[rcode] });
  const [question, second] = request.questions;
  if (request.opcode !== 0) return refuse("NOTIMP");
  if (question === undefined || second !== undefined) return refuse("FORMERR");
  if ((request.edns?.version ?? 0) > 0) return refuse("BADVERS");
  if (question.class !== CLASS_IN) return refuse("REFUSED");
  const answer = await ask(chain, toQuery(question.name, question.type));
  return { answer, rcode: answer.rcode };
}

/** With a readable header a broken message is answered FORMERR, as resolvers expect. */
function readRequest(bytes: Uint8Array): DnsMessage | undefined {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    if (!(error instanceof DnsFormatError) || bytes.length < 12) return undefined;
    const header = bytes.slice(0, 12);
    header.fill(0, 4);
    return decodeMessage(header);
  }
}

/** Addresses of one name start at a random one each time: clients take the first. CNAMEs stay in front. */
function rotated(records: readonly ResourceRecord[], random: Random): readonly ResourceRecord[] {
  const isAddress = ({ data }: ResourceRecord) => data.type === "A" || data.type === "AAAA";
  const addresses = records.filter(isAddress);
  if (addresses.length < 2) return records;
  const start = Math.floor(random.next() * addresses.length);
  return [...records.filter((record) => !isAddress(record)), ...addresses.slice(start), ...addresses.slice(0, start)];
}
