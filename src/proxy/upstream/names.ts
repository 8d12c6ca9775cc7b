/**
 * Names of STRICT_DNS and LOGICAL_DNS clusters: asked of the resolvers of /etc/resolv.conf by UDP, again when the answer's
 * time to live is over. A name that does not resolve leaves the cluster as it was.
 */
import type { Clock, Timer } from "#host/clock.ts";
import type { Files } from "#host/files.ts";
import type { DatagramSocket, Net } from "#host/net.ts";
import type { Random } from "#host/random.ts";
import { decodeMessage } from "#wire/dns/decode.ts";
import { encodeMessage } from "#wire/dns/encode.ts";
import { type DnsMessage, TYPES } from "#wire/dns/message.ts";
import { questionMessage } from "#wire/dns/question.ts";

/** Envoy's dns_refresh_rate. */
const REFRESH_MS = 5_000;
const ASK_MS = 2_000;

export interface NamesMachine {
  readonly clock: Clock;
  readonly files: Files;
  readonly net: Net;
  readonly random: Random;
}

interface Following {
  readonly names: readonly string[];
  readonly changed: () => void;
  timer: Timer | undefined;
}

export class Names {
  readonly #machine: NamesMachine;
  readonly #known = new Map<string, readonly string[]>();
  readonly #following = new Map<string, Following>();

  constructor(machine: NamesMachine) {
    this.#machine = machine;
  }

  addresses(name: string): readonly string[] {
    return this.#known.get(name) ?? [];
  }

  /** Resolves now and from now on; `changed` is called after each later change. */
  async follow(cluster: string, names: readonly string[], changed: () => void): Promise<void> {
    this.unfollow(cluster);
    if (names.length === 0) return;
    const following: Following = { names, changed, timer: undefined };
    this.#following.set(cluster, following);
    await this.#resolveAll(names);
    this.#again(cluster, following);
  }

  unfollow(cluster: string): void {
    this.#following.get(cluster)?.timer?.cancel();
    this.#following.delete(cluster);
  }

  stop(): void {
    for (const cluster of [...this.#following.keys()]) this.unfollow(cluster);
  }

  #again(cluster: string, following: Following): void {
    if (this.#following.get(cluster) !== following) return;
    following.timer = this.#machine.clock
      .after(REFRESH_MS, () => {
        void this.#resolveAll(following.names).then((changed) => {
          if (changed && this.#following.get(cluster) === following) following.changed();
          this.#again(cluster, following);
        });
      })
      .unref();
  }

  async #resolveAll(names: readonly string[]): Promise<boolean> {
    const changes = await Promise.all(names.map((name) => this.#resolve(name)));
    return changes.includes(true);
  }

  async #resolve(name: string): Promise<boolean> {
    const found = name === "localhost" ? ["127.0.0.1"] : await this.#ask(name).catch(() => undefined);
    if (found === undefined || found.length === 0) return false;
    const sorted = [...found].sort();
    const changed = JSON.stringify(sorted) !== JSON.stringify(this.#known.get(name));
    this.#known.set(name, sorted);
    return changed;
  }

  async #ask(name: string): Promise<string[] | undefined> {
    const { files, net, clock, random } = this.#machine;
    const conf = await files.readText("/etc/resolv.conf").catch(() => "");
    const servers = [...conf.matchAll(/^nameserver\s+(\S+)/gm)].map((found) => found[1] ?? "");
    const search = (/^search\s+(.*)$/m.exec(conf)?.[1] ?? "").split(/\s+/).filter((domain) => domain !== "");
    const ndots = Number(/ndots:(\d+)/.exec(conf)?.[1] ?? 1);
    const absolute = name.replace(/\.$/, "");
    const candidates = name.endsWith(".")
      ? [absolute]
      : name.split(".").length > ndots
        ? [absolute, ...search.map((s) => `${absolute}.${s}`)]
        : [...search.map((s) => `${absolute}.${s}`), absolute];
    for (const server of servers) {
      for (const candidate of candidates) {
        const answer = await ask({ net, clock, id: Math.floor(random.next() * 65536), server, name: candidate });
        if (answer === undefined) break;
        const addresses = answer.answers.flatMap(({ data }) => (data.type === "A" ? [data.address] : []));
        if (addresses.length > 0) return addresses;
      }
    }
    return undefined;
  }
}

async function ask(options: { net: Net; clock: Clock; id: number; server: string; name: string }): Promise<DnsMessage | undefined> {
  const { net, clock, id, server, name } = options;
  const question = questionMessage({ id, name, type: TYPES.A, edns: undefined });
  let settle: (answer: DnsMessage | undefined) => void = () => undefined;
  const answered = new Promise<DnsMessage | undefined>((resolve) => (settle = resolve));
  const socket: DatagramSocket = await net.bind({ address: { ip: server.includes(":") ? "::" : "0.0.0.0", port: 0 } }, ({ bytes, from }) => {
    if (from.ip !== server || from.port !== 53) return;
    try {
      const message = decodeMessage(bytes);
      if (message.id === id && message.response && message.questions[0]?.name.toLowerCase() === name.toLowerCase()) settle(message);
    } catch {
      settle(undefined);
    }
  });
  const timer = clock.after(ASK_MS, () => settle(undefined));
  socket.send(encodeMessage(question), { ip: server, port: 53 });
  try {
    return await answered;
  } finally {
    timer.cancel();
    socket.close();
  }
}
