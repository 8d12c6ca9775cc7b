/** Asks the machine's resolvers for names outside the cluster, in the user's own network namespace. */
import type { Host } from "#host/host.ts";

const TRY_MS = 3000;
const TRIES = 2;
const RESOLV_CONF = "/etc/resolv.conf";
/** The bit of the header's third byte that says the answer was cut. */
const TRUNCATED = 0x02;

type NamesHost = Pick<Host, "clock" | "files" | "net">;

/** undefined when none of the resolvers answered. */
export async function askResolvers(host: NamesHost, query: Uint8Array): Promise<Uint8Array | undefined> {
  const resolvers = await readResolvers(host);
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    for (const resolver of resolvers) {
      const answer = await askByDatagram(host, resolver, query);
      if (answer === undefined) continue;
      if (((answer[2] ?? 0) & TRUNCATED) === 0) return answer;
      return (await askByStream(host, resolver, query)) ?? answer;
    }
  }
  return undefined;
}

/** Read for every query: laptops move between networks. */
async function readResolvers(host: Pick<Host, "files">): Promise<readonly string[]> {
  const text = await host.files.readText(RESOLV_CONF).catch(() => "");
  return [...text.matchAll(/^nameserver\s+([0-9a-fA-F.:]+)/gm)].map(([, address]) => address ?? "").slice(0, 3);
}

async function askByDatagram(host: NamesHost, resolver: string, query: Uint8Array): Promise<Uint8Array | undefined> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
  const any = resolver.includes(":") ? "::" : "0.0.0.0";
  const socket = await host.net
    .bind({ address: { ip: any, port: 0 } }, ({ bytes, from }) => {
      // A stranger's datagram, or a late answer to an earlier query, is not the answer.
      if (from.ip === resolver && bytes.length >= 12 && bytes[0] === query[0] && bytes[1] === query[1]) resolve(Uint8Array.from(bytes));
    })
    .catch(() => undefined);
  if (socket === undefined) return undefined;
  const timer = host.clock.after(TRY_MS, () => resolve(undefined));
  try {
    socket.send(query, { ip: resolver, port: 53 });
    return await promise;
  } finally {
    timer.cancel();
    socket.close();
  }
}

function askByStream(host: NamesHost, resolver: string, query: Uint8Array): Promise<Uint8Array | undefined> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
  let received: Buffer = Buffer.alloc(0);
  const framed = Buffer.alloc(2 + query.length);
  framed.writeUInt16BE(query.length);
  framed.set(query, 2);
  const connection = host.net.connect(
    { address: { ip: resolver, port: 53 }, timeoutMs: TRY_MS },
    {
      onConnect: () => connection.write(framed),
      onData(bytes) {
        received = Buffer.concat([received, bytes]);
        if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
        resolve(Uint8Array.from(received.subarray(2, 2 + received.readUInt16BE(0))));
        connection.destroy();
      },
      onClose: () => resolve(undefined),
    },
  );
  const timer = host.clock.after(TRY_MS, () => connection.destroy());
  void promise.finally(() => timer.cancel());
  return promise;
}
