/**
 * Names outside the cluster: node agents ask 192.168.99.1:53, and each query travels to the outer half of the
 * supervisor, which asks the machine's resolvers. Only bytes pass here; nothing is parsed but the header's id.
 */
import type { Host } from "#host/host.ts";
import type { Connection } from "#host/net.ts";
import type { FromInner } from "#model/supervisor-link.ts";

const DNS_PORT = 53;
/** Longer than the outer half takes for all its tries. */
const FORGET_AFTER_MS = 12_000;
const SERVFAIL = 2;

export interface NameRelay {
  answered(id: number, base64: string | undefined): void;
  close(): Promise<void>;
}

export async function relayNames(host: Pick<Host, "net" | "clock">, address: string, send: (message: FromInner) => void): Promise<NameRelay> {
  let last = 0;
  const waiting = new Map<number, { readonly query: Uint8Array; readonly reply: (answer: Uint8Array) => void }>();
  const ask = (query: Uint8Array, reply: (answer: Uint8Array) => void): void => {
    if (query.length < 12) return;
    last += 1;
    const id = last;
    waiting.set(id, { query, reply });
    host.clock.after(FORGET_AFTER_MS, () => waiting.delete(id)).unref();
    send({ kind: "names-query", id, base64: Buffer.from(query).toString("base64") });
  };
  const socket = await host.net.bind({ address: { ip: address, port: DNS_PORT } }, (datagram) => {
    const { from } = datagram;
    ask(Uint8Array.from(datagram.bytes), (answer) => socket.send(answer, from));
  });
  const listener = await host.net.listen({ address: { ip: address, port: DNS_PORT } }, (connection) => serveStream(connection, ask));
  return {
    answered(id, base64) {
      const waiter = waiting.get(id);
      waiting.delete(id);
      waiter?.reply(base64 === undefined ? failureOf(waiter.query) : Buffer.from(base64, "base64"));
    },
    async close() {
      socket.close();
      await listener.close();
    },
  };
}

/** RFC 1035 4.2.2: each message after its length in two bytes. */
function serveStream(connection: Connection, ask: (query: Uint8Array, reply: (answer: Uint8Array) => void) => void): void {
  let open = true;
  let buffered: Buffer = Buffer.alloc(0);
  connection.handle({
    onData(bytes) {
      buffered = Buffer.concat([buffered, bytes]);
      while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
        const end = 2 + buffered.readUInt16BE(0);
        ask(Uint8Array.from(buffered.subarray(2, end)), (answer) => {
          if (!open) return;
          const framed = Buffer.alloc(2 + answer.length);
          framed.writeUInt16BE(answer.length);
          framed.set(answer, 2);
          connection.write(framed);
        });
        buffered = buffered.subarray(end);
      }
    },
    onEnd: () => connection.end(),
    onClose: () => {
      open = false;
    },
  });
}

/** The query itself, marked as a response that says SERVFAIL. */
function failureOf(query: Uint8Array): Uint8Array {
  const answer = Uint8Array.from(query);
  answer[2] = (answer[2] ?? 0) | 0x80;
  answer[3] = ((answer[3] ?? 0) & 0x70) | 0x80 | SERVFAIL;
  return answer;
}
