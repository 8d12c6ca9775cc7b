/**
 * Bodies through the proxy, one hop and two with mTLS: large ones both ways, readers that do not read, requests sent
 * ahead, answers that come early or without a length. What a proxy holds back it must push back.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, request, type RequestOptions, type ServerResponse } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { type Between, type Hops, listening, startHops } from "./hops.ts";

const LARGE = randomBytes(1 << 20);
const PIECES = 48;
const LARGE_DIGEST = digest(Array.from({ length: PIECES }, () => LARGE));
/** What sockets and the hops between may hold of a body that nobody reads: far less than the body. */
const HELD_BYTES = 24 << 20;
const TIME = { timeout: 120_000 };

function digest(chunks: readonly Buffer[]): string {
  const hash = createHash("sha256");
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest("hex");
}

async function digestOf(message: IncomingMessage): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of message) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Writes the large body as fast as it is taken; resolves with the bytes once no more has been taken for a while, or all. */
function writeLarge(out: NodeJS.WritableStream): { readonly written: () => number; readonly stalled: () => Promise<number> } {
  let written = 0;
  let lastChange = Date.now();
  const next = (): void => {
    if (written === PIECES * LARGE.length) return void out.end();
    out.write(LARGE, () => {
      written += LARGE.length;
      lastChange = Date.now();
      next();
    });
  };
  next();
  const stalled = async (): Promise<number> => {
    while (Date.now() - lastChange < 1_000) await new Promise((resolve) => setTimeout(resolve, 50));
    return written;
  };
  return { written: () => written, stalled };
}

for (const between of ["plain", "mTLS"] as const satisfies readonly Between[]) {
  describe(`bodies, ${between}`, () => {
    let hops: Hops;
    let answer: (incoming: IncomingMessage, outgoing: ServerResponse) => void = (_, outgoing) => void outgoing.end();
    const backend = createHttpServer((incoming, outgoing) => answer(incoming, outgoing));
    const backendSockets = new Set<Socket>();
    backend.on("connection", (socket) => void backendSockets.add(socket));
    before(async () => void (hops = await startHops(between, await listening(backend))));
    after(async () => {
      backend.closeAllConnections();
      backend.close();
      await hops.stop();
    });

    const ask = (options: RequestOptions): ReturnType<typeof request> => request({ host: "127.0.0.1", port: hops.port, agent: false, ...options });
    const response = async (call: ReturnType<typeof request>): Promise<IncomingMessage> => ((await once(call, "response")) as [IncomingMessage])[0];

    test("a download waits for a reader that does not read, and is whole when it does", TIME, async () => {
      let sent: ReturnType<typeof writeLarge> | undefined;
      answer = (_, outgoing) => (sent = writeLarge(outgoing));
      const call = ask({ path: "/download" });
      call.end();
      const got = await response(call);
      got.pause();
      const held = await sent?.stalled();
      assert.ok(held !== undefined && held < HELD_BYTES, `${held} bytes were taken from the backend for a reader that reads none`);
      assert.equal(await digestOf(got), LARGE_DIGEST);
    });

    test("an upload waits for a backend that does not read, and is whole when it does", TIME, async () => {
      let resume = (): void => undefined;
      answer = (incoming, outgoing) => {
        incoming.pause();
        resume = () => void digestOf(incoming).then((hash) => outgoing.end(hash));
      };
      const call = ask({ method: "POST", path: "/upload", headers: { "content-length": PIECES * LARGE.length } });
      const held = await writeLarge(call).stalled();
      assert.ok(held < HELD_BYTES, `${held} bytes were taken from the client for a backend that reads none`);
      resume();
      const got = await response(call);
      assert.equal(Buffer.concat(await got.toArray()).toString(), LARGE_DIGEST);
    });

    test("both ways at once, in chunks", TIME, async () => {
      answer = (incoming, outgoing) => void incoming.pipe(outgoing);
      const call = ask({ method: "POST", path: "/echo" });
      writeLarge(call);
      assert.equal(await digestOf(await response(call)), LARGE_DIGEST);
    });

    test("requests sent ahead are answered in order, on one connection each way", TIME, async () => {
      const count = 200;
      const already = backendSockets.size;
      answer = (incoming, outgoing) => void incoming.on("data", () => undefined).on("end", () => outgoing.end(`<${incoming.url}>`));
      const socket = connect(hops.port, "127.0.0.1");
      const ahead = Array.from({ length: count }, (_, i) =>
        i % 2 === 0 ? `GET /${i} HTTP/1.1\r\nhost: a\r\n\r\n` : `POST /${i} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12345`,
      );
      socket.write(ahead.join(""));
      let text = "";
      for await (const chunk of socket) {
        text += String(chunk);
        if (text.includes(`</${count - 1}>`)) break;
      }
      const order = [...text.matchAll(/<\/(\d+)>/g)].map(([, index]) => Number(index));
      assert.deepEqual(order, [...ahead.keys()]);
      assert.ok(backendSockets.size <= already + 1, "the backend's connection is used again");
    });

    test("a client that goes away ends what the backend is doing for it", TIME, async () => {
      const gone = new Promise<void>((resolve) => {
        answer = (_, outgoing) => {
          outgoing.on("close", () => resolve());
          outgoing.write("begun");
        };
      });
      const socket = connect(hops.port, "127.0.0.1");
      socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      await once(socket, "data");
      socket.end();
      await gone;
      socket.destroy();
    });

    test("an answer that comes before the request is whole arrives, and the connection ends", TIME, async () => {
      answer = (_, outgoing) => void outgoing.writeHead(413, { connection: "close" }).end("too large");
      const socket = connect({ port: hops.port, host: "127.0.0.1", allowHalfOpen: true });
      socket.on("error", () => undefined);
      socket.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n");
      const piece = setInterval(() => socket.write(LARGE.subarray(0, 1000)), 5);
      let text = "";
      for await (const chunk of socket) text += String(chunk);
      clearInterval(piece);
      assert.match(text, /^HTTP\/1\.1 413 [^]*too large/);
      socket.destroy();
    });
  });
}

test("an answer without a length ends with its connection, and the client's goes on", TIME, async () => {
  const backend = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\n\r\nuntil the end"));
  });
  const hops = await startHops("plain", await listening(backend));
  const socket = connect(hops.port, "127.0.0.1");
  try {
    for (let round = 0; round < 3; round++) {
      socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      let text = "";
      while (!text.endsWith("\r\n0\r\n\r\n")) text += String((await once(socket, "data"))[0]);
      assert.match(text, /transfer-encoding: chunked/);
      assert.match(text, /until the end/);
    }
  } finally {
    socket.destroy();
    backend.close();
    await hops.stop();
  }
});
