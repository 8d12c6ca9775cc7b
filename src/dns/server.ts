/** Questions by UDP and TCP, each through the chain of those who may know the answer. */
import type { Host } from "#host/host.ts";
import type { Connection, SocketAddress } from "#host/net.ts";
import type { DnsZone } from "#model/plan/node-plan.ts";
import { cached } from "./cache.ts";
import { answerFromZone } from "#decide/name/answer-from-zone.ts";
import { openForwarder } from "./forward.ts";
import { toQuery } from "#decide/name/query.ts";
import { ask, type Handler } from "./query.ts";
import { respond } from "./respond.ts";
import { FrameReader, frame } from "./tcp-frames.ts";

export interface DnsOptions {
  readonly address: SocketAddress;
  /** Who is asked for everything else, at the moment, by IPv4; nobody: it is refused. */
  readonly upstreams: () => readonly SocketAddress[];
  readonly zone: () => DnsZone;
  /** Asked before the zone. */
  readonly first?: Handler;
  /** Others of our user may answer at the same address. */
  readonly reusePort?: boolean;
}

export interface DnsServer {
  readonly address: SocketAddress;
  close(): Promise<void>;
}

/** RFC 7766 6.2.3: an idle client may be let go. */
const TCP_IDLE_MS = 10_000;

export async function serveDns(host: Pick<Host, "net" | "clock" | "random">, options: DnsOptions): Promise<DnsServer> {
  const forwarder = await openForwarder(host, options.upstreams);
  const foreign: Handler = cached(host.clock, (query) => forwarder.ask(query));
  const { first } = options;
  const chain = [...(first === undefined ? [] : [first]), ...chainOf(options.zone, foreign)];
  const { reusePort = false } = options;
  const open: { close(): void | Promise<void> }[] = [forwarder];
  const close = async (): Promise<void> => {
    for (const each of open.splice(0).toReversed()) await each.close();
  };
  try {
    const socket = await host.net.bind({ address: options.address, reusePort }, ({ bytes, from }) => {
      // The bytes are borrowed, and the answer may come later.
      void respond(chain, host.random, bytes.slice(), "udp").then((answer) => answer !== undefined && socket.send(answer, from));
    });
    open.push(socket);
    open.push(await host.net.listen({ address: socket.address, reusePort }, (connection) => serveTcp(host, chain, connection)));
    return { address: socket.address, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** In this order: our own names must never leave the cluster. */
export function chainOf(zone: () => DnsZone, foreign: Handler): readonly Handler[] {
  const cluster: Handler = async (query) => {
    const { continueAt, ...answer } = answerFromZone(zone(), query) ?? { continueAt: undefined };
    if (!("rcode" in answer)) return undefined;
    if (continueAt === undefined) return answer;
    const rest = await ask([foreign], toQuery(continueAt, query.type));
    return { ...answer, authoritative: false, answers: [...answer.answers, ...rest.answers], authorities: rest.answers.length === 0 ? rest.authorities : [] };
  };
  return [cluster, foreign];
}

function serveTcp(host: Pick<Host, "clock" | "random">, chain: readonly Handler[], connection: Connection): void {
  const frames = new FrameReader();
  let idle = host.clock.after(TCP_IDLE_MS, () => connection.destroy()).unref();
  connection.handle({
    onData(bytes) {
      idle.cancel();
      idle = host.clock.after(TCP_IDLE_MS, () => connection.destroy()).unref();
      for (const message of frames.push(bytes)) {
        void respond(chain, host.random, message, "tcp").then((answer) => (answer === undefined ? connection.destroy() : connection.write(frame(answer))));
      }
    },
    onEnd: () => connection.end(),
    onClose: () => idle.cancel(),
  });
}
