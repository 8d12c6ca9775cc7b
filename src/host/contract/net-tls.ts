/** What every Host.Net does with TLS. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Connection, Net, TlsClientOptions, TlsServerOptions } from "#host/net.ts";
import { authority } from "./certificates.ts";
import type { Identity } from "./certificates.ts";
import { loopback } from "./net.ts";
import type { Subject } from "./subject.ts";
import { Tape } from "./tape.ts";
import { tracked } from "./tracked-net.ts";

interface Pki {
  readonly ca: string;
  readonly otherCa: string;
  readonly server: Identity;
  readonly client: Identity;
  readonly stranger: Identity;
  readonly expired: Identity;
}

const spiffe = (account: string): { type: "url"; value: string } => ({ type: "url", value: `spiffe://example.org/ns/default/sa/${account}` });

async function makePki(): Promise<Pki> {
  const ours = await authority("ours");
  const theirs = await authority("theirs");
  const past = { notBefore: new Date("2001-01-01T00:00:00Z"), notAfter: new Date("2002-01-01T00:00:00Z") };
  return {
    ca: ours.ca,
    otherCa: theirs.ca,
    server: await ours.issue([spiffe("server"), { type: "dns", value: "server.example.org" }]),
    client: await ours.issue([spiffe("client")]),
    stranger: await theirs.issue([spiffe("client")]),
    expired: await ours.issue([spiffe("client")], { validity: past }),
  };
}

/** Connects with TLS on both ends; `inspect`: the server reads the first bytes itself before it starts TLS. */
async function handshake(
  { host }: Subject,
  options: { readonly server: TlsServerOptions; readonly client: TlsClientOptions; readonly serverName?: string; readonly inspect?: boolean },
): Promise<{ client: Connection; server: Connection; heardByClient: Tape; heardByServer: Tape }> {
  const context = host.net.tlsServer(options.server);
  const heardByServer = new Tape(host.clock);
  const heardByClient = new Tape(host.clock);
  const servers: Connection[] = [];
  const listener = await host.net.listen({ address: loopback }, (connection) => {
    servers.push(connection);
    if (options.inspect !== true) {
      connection.handle(heardByServer);
      connection.startTls(context);
      return;
    }
    connection.handle({
      onData(bytes) {
        connection.handle(heardByServer);
        connection.startTls(context, bytes);
      },
      onClose: (error) => heardByServer.onClose(error),
    });
  });
  const tls = { context: host.net.tlsClient(options.client), ...(options.serverName === undefined ? {} : { serverName: options.serverName }) };
  const client = host.net.connect({ address: listener.address, tls }, heardByClient);
  await heardByServer.until((tape) => tape.connected + tape.closed > 0, "the server's end of the handshake");
  await heardByClient.until((tape) => tape.connected + tape.closed > 0, "the client's end of the handshake");
  const [server] = servers;
  assert.ok(server);
  return { client, server, heardByClient, heardByServer };
}

export function netTlsContract(make: () => Promise<Subject>): void {
  const cases: Record<string, (subject: Subject, pki: Pki) => Promise<void>> = {
    "both ends prove who they are, and what they prove is in the facts": async (subject, pki) => {
      const { client, server, heardByClient, heardByServer } = await handshake(subject, {
        server: { ...pki.server, ca: pki.ca, clientCertificate: "require", alpn: ["istio", "h2"], minVersion: "TLSv1.3" },
        client: { ...pki.client, ca: pki.ca, alpn: ["h2", "http/1.1"] },
        serverName: "outbound_.9080_._.reviews.default.svc.cluster.local",
      });
      assert.deepEqual([heardByClient.connected, heardByServer.connected], [1, 1], JSON.stringify([heardByClient.error, heardByServer.error]));
      assert.deepEqual(server.facts.tls?.peerUris, ["spiffe://example.org/ns/default/sa/client"]);
      assert.deepEqual(client.facts.tls?.peerUris, ["spiffe://example.org/ns/default/sa/server"]);
      assert.deepEqual(client.facts.tls?.peerDnsNames, ["server.example.org"]);
      assert.equal(server.facts.tls?.serverName, "outbound_.9080_._.reviews.default.svc.cluster.local");
      assert.equal(server.facts.tls?.alpn, "h2");
      assert.equal(client.facts.tls?.alpn, "h2");
      assert.equal(server.facts.tls?.version, "TLSv1.3");
      assert.ok((server.facts.tls?.peerCertificate?.length ?? 0) > 100);
      client.write("hello ");
      client.writeBorrowed(Buffer.from("server"));
      await heardByServer.until((tape) => tape.text === "hello server", "bytes");
      server.write("hello client");
      await heardByClient.until((tape) => tape.text === "hello client", "bytes");
    },
    "the server may inspect the ClientHello before it starts TLS": async (subject, pki) => {
      const { client, heardByServer } = await handshake(subject, { server: pki.server, client: { ca: pki.ca }, inspect: true });
      client.write("after inspection");
      await heardByServer.until((tape) => tape.text === "after inspection", "bytes");
    },
    "bulk and half-close work as on a plain connection": async (subject, pki) => {
      const { client, server, heardByClient, heardByServer } = await handshake(subject, { server: pki.server, client: { ca: pki.ca } });
      const chunk = Buffer.alloc(100_000, "b");
      for (let i = 0; i < 20; i += 1) client.writeBorrowed(chunk);
      client.end();
      await heardByServer.until((tape) => tape.bytes === 2_000_000 && tape.ended === 1, "bulk and the end");
      server.write("thanks");
      server.end();
      await heardByClient.until((tape) => tape.closed === 1, "the close");
      assert.equal(heardByClient.text, "thanks");
      assert.equal(heardByClient.error, undefined);
    },
    "what is written and ended before the handshake is sent after it": async ({ host }, pki) => {
      const context = host.net.tlsServer(pki.server);
      const tape = new Tape(host.clock);
      const listener = await host.net.listen({ address: loopback }, (connection) => {
        connection.handle(tape);
        connection.startTls(context);
      });
      const heard = new Tape(host.clock);
      const client = host.net.connect({ address: listener.address, tls: { context: host.net.tlsClient({ ca: pki.ca }) } }, heard);
      client.write("early");
      client.end();
      await tape.until((server) => server.text === "early" && server.ended === 1, "early bytes and the end");
    },
    "a client without a certificate is refused when one is required": async (subject, pki) => {
      const { heardByServer } = await handshake(subject, { server: { ...pki.server, ca: pki.ca, clientCertificate: "require" }, client: { ca: pki.ca } });
      await heardByServer.until((tape) => tape.closed === 1, "the refusal");
      assert.equal(heardByServer.connected, 0);
      assert.ok(heardByServer.error);
    },
    "a client without a certificate is welcome when one is only requested": async (subject, pki) => {
      const { server, heardByServer } = await handshake(subject, {
        server: { ...pki.server, ca: pki.ca, clientCertificate: "request" },
        client: { ca: pki.ca },
      });
      assert.equal(heardByServer.connected, 1);
      assert.equal(server.facts.tls?.peerCertificate, undefined);
    },
    "a certificate of another authority, or an expired one, is refused": async (subject, pki) => {
      for (const client of [pki.stranger, pki.expired]) {
        const { heardByServer, heardByClient } = await handshake(subject, {
          server: { ...pki.server, ca: pki.ca, clientCertificate: "request" },
          client: { ...client, ca: pki.ca },
        });
        await heardByServer.until((tape) => tape.closed === 1, "the refusal");
        await heardByClient.until((tape) => tape.closed + tape.ended > 0, "the close");
        assert.equal(heardByServer.connected, 0);
        assert.ok(heardByServer.error);
        if (client === pki.expired) assert.equal(heardByServer.error.code, "CERT_HAS_EXPIRED");
      }
    },
    "a server of another authority is refused by the client": async (subject, pki) => {
      const { heardByClient } = await handshake(subject, { server: pki.server, client: { ca: pki.otherCa } });
      await heardByClient.until((tape) => tape.closed === 1, "the refusal");
      assert.equal(heardByClient.connected, 0);
      assert.ok(heardByClient.error);
    },
    "verifyPeer refuses with its reason, on either side": async (subject, pki) => {
      const asServer = await handshake(subject, {
        server: { ...pki.server, ca: pki.ca, clientCertificate: "require", verifyPeer: (facts) => `not ${facts.peerUris[0] ?? ""}` },
        client: { ...pki.client, ca: pki.ca },
      });
      await asServer.heardByServer.until((tape) => tape.closed === 1, "the refusal");
      assert.deepEqual(asServer.heardByServer.error, { code: "ERR_TLS_PEER_REFUSED", message: "not spiffe://example.org/ns/default/sa/client" });
      const asClient = await handshake(subject, { server: pki.server, client: { ca: pki.ca, verifyPeer: () => "wrong identity" } });
      await asClient.heardByClient.until((tape) => tape.closed === 1, "the refusal");
      assert.deepEqual(asClient.heardByClient.error, { code: "ERR_TLS_PEER_REFUSED", message: "wrong identity" });
    },
    "the host name is checked only when asked": async (subject, pki) => {
      const wrong = await handshake(subject, { server: pki.server, client: { ca: pki.ca, verifyHostname: true }, serverName: "other.example.org" });
      await wrong.heardByClient.until((tape) => tape.closed === 1, "the refusal");
      assert.equal(wrong.heardByClient.error?.code, "ERR_TLS_CERT_ALTNAME_INVALID");
      const right = await handshake(subject, { server: pki.server, client: { ca: pki.ca, verifyHostname: true }, serverName: "server.example.org" });
      assert.equal(right.heardByClient.connected, 1);
    },
    "a client that speaks no TLS ends its own connection only": async (subject, pki) => {
      const { net, clock } = subject.host;
      const context = net.tlsServer(pki.server);
      const tape = new Tape(clock);
      const listener = await net.listen({ address: loopback }, (connection) => {
        connection.handle(tape);
        connection.startTls(context);
      });
      const client = net.connect({ address: listener.address }, new Tape(clock));
      client.write("GET / HTTP/1.1\r\n\r\n");
      await tape.until((heard) => heard.closed === 1, "the refusal");
      assert.equal(tape.connected, 0);
      assert.ok(tape.error);
    },
    "a bad key is named at once": async ({ host }, pki) => {
      assert.throws(() => host.net.tlsServer({ ...pki.server, privateKey: "nonsense" }), { name: "HostError", message: /TLS server certificate/ });
      assert.throws(() => host.net.tlsServer({ ...pki.server, privateKey: pki.client.privateKey }), { name: "HostError" });
      await host.clock.sleep(0);
    },
    "a connection that is not established in time fails with ETIMEDOUT": async ({ host }) => {
      const tape = new Tape(host.clock);
      const silent = await host.net.listen({ address: loopback }, (connection) => connection.handle(new Tape(host.clock)));
      const tls = { context: host.net.tlsClient({}) };
      host.net.connect({ address: silent.address, tls, timeoutMs: 50 }, tape);
      await tape.until((heard) => heard.closed === 1, "the timeout");
      assert.equal(tape.error?.code, "ETIMEDOUT");
    },
  };
  describe("net: TLS", () => {
    let pki: Promise<Pki> | undefined;
    for (const [name, run] of Object.entries(cases)) {
      test(name, { timeout: 30_000 }, async () => {
        const keys = await (pki ??= makePki());
        const made = await make();
        const { net, closeAll }: { net: Net; closeAll: () => Promise<void> } = tracked(made.host.net);
        try {
          await made.settle(run({ ...made, host: { ...made.host, net } }, keys));
        } finally {
          await made.settle(closeAll());
          await made.close();
        }
      });
    }
  });
}
