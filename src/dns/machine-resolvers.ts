/** Who the node's own programs ask for names: its resolv.conf, read again now and then, because networks change. */
import type { Timer } from "#host/clock.ts";
import type { Host } from "#host/host.ts";
import type { SocketAddress } from "#host/net.ts";
import { formatIp, parseIp } from "#lib/ip.ts";

export interface MachineResolversOptions {
  readonly path: string;
  /** Ourselves: a node whose programs ask the cluster must not make us ask ourselves. */
  readonly own: string;
}

const READ_EVERY_MS = 30_000;
const DNS_PORT = 53;

export class MachineResolvers {
  current: readonly SocketAddress[];
  readonly #timer: Timer;

  private constructor(host: Pick<Host, "files" | "clock">, options: MachineResolversOptions, first: readonly SocketAddress[]) {
    this.current = first;
    this.#timer = host.clock.every(READ_EVERY_MS, () => void readResolvers(host, options).then((found) => (this.current = found ?? this.current)));
  }

  static async open(host: Pick<Host, "files" | "clock">, options: MachineResolversOptions): Promise<MachineResolvers> {
    return new MachineResolvers(host, options, (await readResolvers(host, options)) ?? []);
  }

  close(): void {
    this.#timer.cancel();
  }
}

/** undefined: the file cannot be read (it is being replaced). IPv4 only: there is no other address in the cluster. */
async function readResolvers({ files }: Pick<Host, "files">, { path, own }: MachineResolversOptions): Promise<readonly SocketAddress[] | undefined> {
  const text = await files.readText(path).catch(() => undefined);
  return text?.split("\n").flatMap((line) => {
    const ip = parseIp(/^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? "");
    return ip?.family === 4 && formatIp(ip) !== own ? [{ ip: formatIp(ip), port: DNS_PORT }] : [];
  });
}
