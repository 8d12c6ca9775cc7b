/**
 * Whether questions to an address come to this very program. It asks for a name that it made up at its start: who else is
 * asked, as a program that shares the address or the one of a version before, says that there is no such name.
 */
import type { Host } from "#host/host.ts";
import type { DatagramSocket, SocketAddress } from "#host/net.ts";
import { decodeMessage } from "#wire/dns/decode.ts";
import { encodeMessage } from "#wire/dns/encode.ts";
import { RCODES, TYPES } from "#wire/dns/message.ts";
import { questionMessage } from "#wire/dns/question.ts";
import type { Handler } from "./query.ts";

export type Reached = "this program" | "another" | "nobody";

const WAIT_MS = 1_000;
/** Of two that share an address, who is asked depends on the asker's port: with so many it is the other one each time once in 65,536 times. */
const TRIES = 16;

type AskingHost = Pick<Host, "net" | "clock" | "random">;

export class OwnQuestion {
  readonly #host: AskingHost;
  readonly #name: string;

  /** `domain`: the cluster's, so that nobody asks further for what is nobody's name. */
  constructor(host: AskingHost, domain: string) {
    this.#host = host;
    this.#name = `${host.random.uuid()}.names.weft.${domain}`;
  }

  readonly handler: Handler = ({ key }) =>
    key === this.#name ? { rcode: RCODES.NOERROR, authoritative: true, answers: [], authorities: [], additionals: [] } : undefined;

  /** By UDP. */
  async ask(server: SocketAddress): Promise<Reached> {
    let reached: Reached = "nobody";
    for (let i = 0; i < TRIES && reached !== "this program"; i += 1) {
      const rcode = await this.#once(server);
      // Silence costs a second, and whoever asks this asks again.
      if (rcode === undefined) return reached;
      reached = rcode === RCODES.NOERROR ? "this program" : "another";
    }
    return reached;
  }

  /** The answer's code; undefined: none came. */
  async #once(server: SocketAddress): Promise<number | undefined> {
    const { net, clock, random } = this.#host;
    const [high = 0, low = 0] = random.bytes(2);
    const id = (high << 8) | low;
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const socket: DatagramSocket = await net.bind({ address: { ip: "0.0.0.0", port: 0 } }, ({ bytes, from }) => {
      if (from.ip === server.ip && from.port === server.port) resolve(rcodeOf(bytes, id));
    });
    const timer = clock.after(WAIT_MS, () => resolve(undefined));
    socket.send(encodeMessage(questionMessage({ id, name: this.#name, type: TYPES.A, edns: undefined })), server);
    try {
      return await promise;
    } finally {
      timer.cancel();
      socket.close();
    }
  }
}

/** What is no answer to this question is as silence. */
function rcodeOf(bytes: Uint8Array, id: number): number | undefined {
  try {
    const message = decodeMessage(bytes);
    return message.response && message.id === id ? message.rcode : undefined;
  } catch {
    return undefined;
  }
}
