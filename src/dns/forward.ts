/**
 * Everything that is not ours goes to the machine's resolvers, one after the other until one of them knows: by UDP, and by
 * TCP when the answer is cut.
 */
import type { Host } from "#host/host.ts";
import type { DatagramSocket, SocketAddress } from "#host/net.ts";
import { decodeMessage } from "#wire/dns/decode.ts";
import { encodeMessage } from "#wire/dns/encode.ts";
import { RCODES, type DnsMessage } from "#wire/dns/message.ts";
import { questionMessage } from "#wire/dns/question.ts";
import type { Answer, Query } from "#decide/name/query.ts";
import { failure } from "./query.ts";
import { FrameReader, frame } from "./tcp-frames.ts";

const TIMEOUT_MS = 2000;
/** At least; each resolver is asked once. */
const TRIES = 2;
/** DNS flag day 2020: does not fragment on any usual path. */
export const UDP_SIZE_BYTES = 1232;

export interface Forwarder {
  ask(query: Query): Promise<Answer>;
  close(): void;
}

interface Waiting {
  readonly upstream: SocketAddress;
  readonly key: string;
  readonly answered: (message: DnsMessage) => void;
}

/** `upstreams` is asked anew for each question. */
export async function openForwarder(host: Pick<Host, "net" | "clock" | "random">, upstreams: () => readonly SocketAddress[]): Promise<Forwarder> {
  const waiting = new Map<number, Waiting>();
  const socket: DatagramSocket = await host.net.bind({ address: { ip: "0.0.0.0", port: 0 } }, ({ bytes, from }) => {
    const message = read(bytes);
    if (message === undefined) return;
    const entry = waiting.get(message.id);
    if (entry !== undefined && entry.upstream.ip === from.ip && entry.upstream.port === from.port && entry.key === keyOf(message)) entry.answered(message);
  });

  const once = (query: Query, upstream: SocketAddress) =>
    new Promise<DnsMessage | undefined>((resolve) => {
      const id = freeId(host, waiting);
      const timer = host.clock.after(TIMEOUT_MS, () => done(undefined)).unref();
      const done = (message: DnsMessage | undefined) => {
        timer.cancel();
        waiting.delete(id);
        resolve(message);
      };
      const question = questionOf(query, id);
      waiting.set(id, { upstream, key: keyOf(question), answered: done });
      socket.send(encodeMessage(question), upstream);
    });

  return {
    async ask(query) {
      const known = upstreams();
      let refusal: Answer | undefined;
      for (let attempt = 0; attempt < Math.max(TRIES, known.length); attempt += 1) {
        const upstream = known[attempt % known.length];
        if (upstream === undefined) return failure("REFUSED");
        const message = await once(query, upstream);
        if (message === undefined) continue;
        const answer = toAnswer(message.truncated ? ((await askByTcp(host, upstream, query)) ?? message) : message);
        if (answer.rcode === RCODES.NOERROR || answer.rcode === RCODES.NXDOMAIN) return answer;
        refusal = answer;
      }
      return refusal ?? failure("SERVFAIL");
    },
    close: () => socket.close(),
  };
}

function questionOf({ name, type }: Query, id: number): DnsMessage {
  return questionMessage({ id, name, type, edns: { udpSizeBytes: UDP_SIZE_BYTES, version: 0, dnssecOk: false } });
}

/** An answer must repeat the question: the second thing that somebody who guesses must know. */
function keyOf(message: DnsMessage): string {
  return message.questions.map(({ name, type }) => `${name.toLowerCase()} ${type}`).join(",");
}

/** Unpredictable, and not of a question that still waits. */
function freeId(host: Pick<Host, "random">, waiting: ReadonlyMap<number, unknown>): number {
  for (;;) {
    const [high = 0, low = 0] = host.random.bytes(2);
    const id = (high << 8) | low;
    if (!waiting.has(id)) return id;
  }
}

function read(bytes: Uint8Array): DnsMessage | undefined {
  try {
    const message = decodeMessage(bytes);
    return message.response ? message : undefined;
  } catch {
    // Not DNS: as if nothing had come.
    return undefined;
  }
}

function toAnswer({ rcode, answers, authorities, additionals }: DnsMessage): Answer {
  return { rcode, authoritative: false, answers, authorities, additionals };
}

function askByTcp(host: Pick<Host, "net" | "clock" | "random">, upstream: SocketAddress, query: Query): Promise<DnsMessage | undefined> {
  return new Promise((resolve) => {
    const frames = new FrameReader();
    const question = questionOf(query, freeId(host, new Map()));
    const connection = host.net.connect(
      { address: upstream, timeoutMs: TIMEOUT_MS },
      {
        onConnect: () => connection.write(frame(encodeMessage(question))),
        onData: (bytes) => {
          for (const each of frames.push(bytes)) {
            const message = read(each);
            resolve(message !== undefined && message.id === question.id && keyOf(message) === keyOf(question) ? message : undefined);
            connection.destroy();
          }
        },
        onEnd: () => connection.destroy(),
        onClose: () => resolve(undefined),
      },
    );
    host.clock.after(TIMEOUT_MS * 2, () => connection.destroy()).unref();
  });
}
