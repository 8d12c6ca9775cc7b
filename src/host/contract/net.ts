/** What every Host.Net does: plain connections. TLS is in net-tls.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Connection, Listener, ListenOptions, Net } from "#host/net.ts";
import { tracked } from "./tracked-net.ts";
import type { Subject } from "./subject.ts";
import { Tape } from "./tape.ts";

export const loopback = { ip: "127.0.0.1", port: 0 } as const;

/** A listener, a client connected to it, and both tapes. */
export async function pair(
  subject: Subject,
  options: Partial<ListenOptions> & { readonly accepted?: (connection: Connection) => void } = {},
): Promise<{ listener: Listener; client: Connection; server: Connection; heardByClient: Tape; heardByServer: Tape }> {
  const { net, clock } = subject.host;
  const heardByServer = new Tape(clock);
  const heardByClient = new Tape(clock);
  const servers: Connection[] = [];
  const listener = await net.listen({ address: loopback, ...options }, (connection) => {
    servers.push(connection);
    connection.handle(heardByServer);
    options.accepted?.(connection);
  });
  const client = net.connect({ address: listener.address }, heardByClient);
  await heardByClient.until((tape) => tape.connected === 1 && servers.length === 1, "a connection");
  const [server] = servers;
  assert.ok(server);
  return { listener, client, server, heardByClient, heardByServer };
}

async function freePort(net: Net): Promise<number> {
  const listener = await net.listen({ address: loopback }, () => undefined);
  await listener.close();
  return "port" in listener.address ? listener.address.port : 0;
}

export function netContract(make: () => Promise<Subject>): void {
  const cases: Record<string, (subject: Subject) => Promise<void>> = {
    "bytes of both directions arrive, and both ends know both addresses": async (subject) => {
      const { listener, client, server, heardByClient, heardByServer } = await pair(subject);
      client.write("ping");
      await heardByServer.until((tape) => tape.text === "ping", "ping");
      server.write(Buffer.from("pong"));
      await heardByClient.until((tape) => tape.text === "pong", "pong");
      assert.deepEqual(client.facts.remote, listener.address);
      assert.deepEqual(server.facts.local, listener.address);
      assert.deepEqual(server.facts.remote, client.facts.local);
      assert.equal(server.facts.originalDestination, undefined);
      assert.equal(server.facts.tls, undefined);
    },
    "what is written before the connection stands is sent when it does": async (subject) => {
      const tape = new Tape(subject.host.clock);
      const listener = await subject.host.net.listen({ address: loopback }, (connection) => connection.handle(tape));
      const client = subject.host.net.connect({ address: listener.address }, new Tape(subject.host.clock));
      client.write("early");
      client.end();
      await tape.until((heard) => heard.text === "early" && heard.ended === 1, "early bytes and the end");
    },
    "strings are latin1, and chunks of one turn keep their order": async (subject) => {
      const { client, heardByServer } = await pair(subject);
      client.write("caf\u00e9 ");
      client.write(Buffer.from([1, 2, 255]));
      client.writeBorrowed(Buffer.from("borrowed"));
      client.write("!");
      await heardByServer.until((tape) => tape.text.endsWith("!"), "all chunks");
      assert.equal(heardByServer.text, "caf\u00e9 \u0001\u0002\u00ffborrowed!");
      assert.equal(client.sentBytes, heardByServer.bytes);
    },
    "a slice of what was received is a copy: it outlives the call, though the bytes themselves do not": async (subject) => {
      const { client, server, heardByServer } = await pair(subject);
      const kept: Uint8Array[] = [];
      server.handle({ onData: (bytes) => void kept.push(bytes.slice(0, 5)), onClose: (error) => heardByServer.onClose(error) });
      for (const text of ["first", "other"]) {
        client.write(text);
        await heardByServer.until(() => kept.length === (text === "first" ? 1 : 2), text);
      }
      assert.deepEqual(
        kept.map((bytes) => Buffer.from(bytes).toString()),
        ["first", "other"],
      );
    },
    "borrowed bytes may change as soon as the call returns, whatever their size": async (subject) => {
      const { client, heardByServer } = await pair(subject);
      const bytes = Buffer.alloc(100_000);
      client.write("head");
      for (const letter of ["a", "b", "c", "d"]) {
        bytes.fill(letter);
        client.writeBorrowed(bytes);
      }
      bytes.fill("x");
      await heardByServer.until((tape) => tape.bytes === 400_004, "all bytes");
      assert.equal(heardByServer.text, `head${["a", "b", "c", "d"].map((letter) => letter.repeat(100_000)).join("")}`);
    },
    "a half-closed connection still carries the other direction, and ends in order": async (subject) => {
      const { client, server, heardByClient, heardByServer } = await pair(subject);
      client.write("question");
      client.end();
      await heardByServer.until((tape) => tape.ended === 1, "the client's end");
      assert.equal(heardByServer.text, "question");
      server.write("answer");
      server.end();
      await heardByClient.until((tape) => tape.closed === 1, "the close");
      await heardByServer.until((tape) => tape.closed === 1, "the close");
      assert.equal(heardByClient.text, "answer");
      assert.equal(heardByClient.ended, 1);
      assert.equal(heardByClient.error, undefined);
      assert.equal(heardByServer.error, undefined);
    },
    "writes after the end are dropped": async (subject) => {
      const { client, heardByServer } = await pair(subject);
      client.end();
      client.write("late");
      await heardByServer.until((tape) => tape.ended === 1, "the end");
      assert.equal(heardByServer.text, "");
    },
    "a reset is an error for the peer and none for us": async (subject) => {
      const { client, heardByClient, heardByServer } = await pair(subject);
      client.destroy(true);
      await heardByServer.until((tape) => tape.closed === 1, "the reset");
      await heardByClient.until((tape) => tape.closed === 1, "our close");
      assert.equal(heardByServer.error?.code, "ECONNRESET");
      assert.equal(heardByClient.error, undefined);
    },
    "nobody listens: refused": async (subject) => {
      const tape = new Tape(subject.host.clock);
      subject.host.net.connect({ address: { ip: "127.0.0.1", port: await freePort(subject.host.net) } }, tape);
      await tape.until((heard) => heard.closed === 1, "the refusal");
      assert.equal(tape.error?.code, "ECONNREFUSED");
      assert.equal(tape.connected, 0);
    },
    "an address that is taken is refused by name": async (subject) => {
      const listener = await subject.host.net.listen({ address: loopback }, () => undefined);
      await assert.rejects(
        subject.host.net.listen({ address: listener.address }, () => undefined),
        { name: "HostError", code: "EADDRINUSE" },
      );
      await listener.close();
    },
    "after close a listener accepts no more, but what it accepted goes on": async (subject) => {
      const { listener, client, heardByServer } = await pair(subject);
      await listener.close();
      const late = new Tape(subject.host.clock);
      subject.host.net.connect({ address: listener.address }, late);
      await late.until((tape) => tape.closed === 1, "the refusal");
      assert.equal(late.error?.code, "ECONNREFUSED");
      client.write("still here");
      await heardByServer.until((tape) => tape.text === "still here", "bytes after the listener closed");
      client.destroy();
    },
    "a paused connection hears nothing, the writer notices, and nothing is lost": async (subject) => {
      const { client, server, heardByClient, heardByServer } = await pair(subject);
      server.pause();
      const chunk = Buffer.alloc(65_536, "z");
      let sent = 0;
      while (client.bufferedBytes < 1_000_000) {
        client.write(chunk);
        sent += chunk.length;
        await subject.host.clock.sleep(0);
        assert.ok(sent < 200_000_000, "a paused reader never pushes back");
      }
      const before = heardByServer.bytes;
      await subject.host.clock.sleep(20);
      assert.equal(heardByServer.bytes, before);
      assert.equal(heardByClient.drained, 0);
      server.resume();
      await heardByServer.until((tape) => tape.bytes === sent, "every byte");
      await heardByClient.until((tape) => tape.drained === 1, "onDrain");
      assert.equal(client.bufferedBytes, 0);
    },
    "a connection that was closed here closes exactly once and says nothing after": async (subject) => {
      const { client, server, heardByClient, heardByServer } = await pair(subject);
      server.write("x".repeat(100));
      client.destroy();
      client.destroy();
      client.end();
      client.write("nothing");
      await heardByServer.until((tape) => tape.ended + tape.closed > 0, "the end");
      await heardByClient.until((tape) => tape.closed === 1, "our close");
      await subject.host.clock.sleep(20);
      assert.equal(heardByClient.closed, 1);
      assert.equal(heardByClient.text, "");
    },
    "a handler may be replaced": async (subject) => {
      const { client, server, heardByServer } = await pair(subject);
      const second = new Tape(subject.host.clock);
      server.handle(second);
      client.write("for the second");
      await second.until((tape) => tape.text !== "", "bytes");
      assert.equal(heardByServer.text, "");
      client.destroy();
      await second.until((tape) => tape.ended === 1, "the end");
    },
    "Unix sockets carry bytes and say who the peer is": async (subject) => {
      const { client, server, heardByServer } = await pair(subject, { address: { path: `${subject.folder}/a.sock` }, mode: 0o600 });
      client.write("hello");
      await heardByServer.until((tape) => tape.text === "hello", "hello");
      assert.equal(typeof server.facts.peerCredentials?.uid, "number");
      assert.equal((await subject.host.files.stat(`${subject.folder}/a.sock`))?.mode, 0o600);
      client.destroy();
    },
    "a Unix socket with an abstract name has no file, and refuses when nobody listens": async (subject) => {
      const address = { path: `@weft-contract-${subject.host.random.next()}` };
      const { listener, client, server, heardByServer } = await pair(subject, { address });
      client.write("hello");
      await heardByServer.until((tape) => tape.text === "hello", "hello");
      assert.equal(typeof server.facts.peerCredentials?.pid, "number");
      assert.deepEqual(listener.address, address);
      assert.equal(await subject.host.files.stat(address.path.slice(1)), undefined);
      await assert.rejects(
        subject.host.net.listen({ address }, () => undefined),
        { code: "EADDRINUSE" },
      );
      client.destroy();
      await listener.close();
      const refused = new Tape(subject.host.clock);
      subject.host.net.connect({ address }, refused);
      await refused.until((heard) => heard.closed === 1, "the refusal");
      assert.equal(refused.error?.code, "ECONNREFUSED");
    },
    "a Unix socket that is not there is named": async (subject) => {
      const tape = new Tape(subject.host.clock);
      subject.host.net.connect({ address: { path: `${subject.folder}/none.sock` } }, tape);
      await tape.until((heard) => heard.closed === 1, "the refusal");
      assert.equal(tape.error?.code, "ENOENT");
    },
    "datagrams arrive whole, with their sender": async (subject) => {
      const got: string[] = [];
      const { net, clock } = subject.host;
      const server = await net.bind({ address: loopback }, (datagram) => {
        got.push(`${Buffer.from(datagram.bytes).toString()} from ${datagram.from.ip}`);
        server.send(Buffer.from("answer"), datagram.from);
      });
      const client = await net.bind({ address: loopback }, (datagram) => got.push(Buffer.from(datagram.bytes).toString()));
      client.send(Buffer.from("question"), server.address);
      for (let i = 0; i < 1_000 && got.length < 2; i += 1) await clock.sleep(1);
      assert.deepEqual(got, ["question from 127.0.0.1", "answer"]);
      server.close();
      client.close();
    },
  };
  describe("net", () => {
    for (const [name, run] of Object.entries(cases)) {
      test(name, { timeout: 30_000 }, async () => {
        const made = await make();
        const { net, closeAll } = tracked(made.host.net);
        try {
          await made.settle(run({ ...made, host: { ...made.host, net } }));
        } finally {
          await made.settle(closeAll());
          await made.close();
        }
      });
    }
  });
}
