/** What the contract of Host.Net cannot see: the process around the sockets. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import type { Connection } from "#host/net.ts";
import { realNet } from "#host/real/net.ts";

const LIMIT = { timeout: 60_000 };

/** A program of one connection; resolves with how it ended and what it said. */
async function run(handler: string): Promise<{ readonly code: number | null; readonly said: string }> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.write("hello");
    setTimeout(() => socket.end("bye"), 200);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const net = new URL("../net.ts", import.meta.url).href;
  const program = `
    const { realNet } = await import(${JSON.stringify(net)});
    const said = [];
    const connection = realNet().connect({ address: { ip: "127.0.0.1", port: ${port} } }, ${handler});
    process.on("exit", () => console.error(said.join(" ")));`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  server.close();
  return { code, said };
}

test("an open connection keeps the process alive, and a closed one lets it end", LIMIT, async () => {
  const { code, said } = await run(`{
    onData: (bytes) => said.push(Buffer.from(bytes).toString()),
    onEnd: () => connection.end(),
    onClose: () => said.push("closed") }`);
  assert.equal(said.trim(), "hello bye closed");
  assert.equal(code, 0);
});

test("a handler that throws ends the process with its error, as it would under Node's own sockets", LIMIT, async () => {
  const { code, said } = await run(`{ onData: () => { throw new Error("a bug of the handler"); }, onClose: () => undefined }`);
  assert.match(said, /a bug of the handler/);
  assert.equal(code, 1);
});

test("what a handler leaves for later (ticks, promises, immediates) is done", LIMIT, async () => {
  const { said } = await run(`{
    onData: () => {
      process.nextTick(() => said.push("tick"));
      Promise.resolve().then(() => said.push("promise"));
      setImmediate(() => said.push("immediate"));
      connection.destroy();
    },
    onClose: () => undefined }`);
  assert.equal(said.trim(), "tick promise immediate");
});

/** Descriptors are used again as soon as they are closed: nobody must hear what was meant for the one before. */
test("thousands of short connections each hear their own bytes, and every one of them closes", LIMIT, async () => {
  const net = realNet();
  const echoing = (connection: Connection): void =>
    connection.handle({ onData: (bytes) => connection.writeBorrowed(bytes), onEnd: () => connection.end(), onClose: () => undefined });
  const listener = await net.listen({ address: { ip: "127.0.0.1", port: 0 } }, echoing);
  const visit = (index: number): Promise<string> =>
    new Promise((resolve) => {
      const word = `visitor ${index}`;
      let heard = "";
      const connection = net.connect(
        { address: listener.address },
        {
          onConnect: () => connection.write(word),
          onData: (bytes) => {
            heard += Buffer.from(bytes).toString();
            if (heard.length < word.length) return;
            // Both ways to leave, and both sides first.
            if (index % 3 === 0) connection.destroy(true);
            else connection.end();
          },
          onClose: (error) => resolve(heard === word && (error === undefined || index % 3 === 0) ? "" : `${index}: ${heard} ${error?.message}`),
        },
      );
    });
  let next = 0;
  const faults: string[] = [];
  const visitor = async (): Promise<void> => {
    while (next < 3_000) faults.push(await visit(next++));
  };
  await Promise.all(Array.from({ length: 50 }, visitor));
  assert.deepEqual(
    faults.filter((fault) => fault !== ""),
    [],
  );
  await listener.close();
});

/** Sockets are read together before any is heard: a handler may pause, or close, another one whose bytes are already here. */
test("a connection that another's handler pauses hears nothing until it is resumed, and then everything in order", LIMIT, async (t) => {
  const net = realNet();
  const peers: Connection[] = [];
  const heard: string[] = [];
  let stopped = -1;
  const listener = await net.listen({ address: { ip: "127.0.0.1", port: 0 } }, (connection) => {
    const index = peers.push(connection) - 1;
    heard[index] = "";
    connection.handle({
      onData: (bytes) => {
        heard[index] += index === stopped ? "(while paused)" : "";
        heard[index] += Buffer.from(bytes).toString();
        if (stopped >= 0) return;
        stopped = 1 - index;
        peers[stopped]?.pause();
      },
      onClose: () => undefined,
    });
  });
  const clients: Connection[] = [];
  t.after(() => {
    for (const connection of [...clients, ...peers]) connection.destroy();
    return listener.close();
  });
  for (let i = 0; i < 2; i++) {
    await new Promise<void>((resolve) => {
      clients.push(net.connect({ address: listener.address }, { onConnect: resolve, onData: () => undefined, onClose: () => undefined }));
    });
  }
  await until(() => peers.length === 2);
  for (let round = 0; round < 200; round++) {
    stopped = -1;
    heard.fill("");
    // One turn's writes leave together, so that both are ready in one turn of the other side, too.
    for (const client of clients) client.write(`${round}:a,`);
    await until(() => stopped >= 0);
    const paused = stopped;
    clients.forEach((client) => client.write("b."));
    await until(() => heard[1 - paused] === `${round}:a,b.`);
    assert.equal(heard[paused], "");
    stopped = 2;
    peers[paused]?.resume();
    await until(() => heard[paused] === `${round}:a,b.`);
  }
});

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds() && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(holds(), holds.toString());
}
