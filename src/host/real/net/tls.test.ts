/** What the contract of Host.Net cannot ask every engine: OpenSSL's own settings, and what lives outside JavaScript. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { authority } from "#host/contract/certificates.ts";
import type { TlsClientOptions, TlsFacts, TlsServerOptions } from "#host/net.ts";
import { realNet } from "#host/real/net.ts";

const LIMIT = { timeout: 60_000 };
const pki = authority("tls test").then(async (root) => ({
  ca: root.ca,
  identity: await root.issue([{ type: "url", value: "spiffe://cluster.local/ns/default/sa/a" }]),
}));

/** The facts of both sides after an echo, or the client's error. */
async function meet(
  server: Partial<TlsServerOptions>,
  client: TlsClientOptions,
): Promise<{ server: TlsFacts | undefined; client: TlsFacts | undefined } | string> {
  const net = realNet();
  const { ca, identity } = await pki;
  const context = net.tlsServer({ ...identity, ca, clientCertificate: "require", ...server });
  let serverFacts: TlsFacts | undefined;
  const listener = await net.listen({ address: { ip: "127.0.0.1", port: 0 } }, (connection) => {
    connection.handle({
      onConnect: () => (serverFacts = connection.facts.tls),
      onData: (bytes) => connection.writeBorrowed(bytes),
      onEnd: () => connection.end(),
      onClose: () => undefined,
    });
    connection.startTls(context);
  });
  const outcome = await new Promise<{ server: TlsFacts | undefined; client: TlsFacts | undefined } | string>((resolve) => {
    const connection = net.connect(
      { address: listener.address, tls: { context: net.tlsClient({ ...identity, ca, ...client }) } },
      {
        onConnect: () => connection.write("hello"),
        onData: (bytes) => {
          assert.equal(Buffer.from(bytes).toString(), "hello");
          resolve({ server: serverFacts, client: connection.facts.tls });
          connection.end();
        },
        onClose: (error) => resolve(error?.code ?? "closed"),
      },
    );
  });
  await listener.close();
  return outcome;
}

const cases: readonly {
  readonly name: string;
  readonly server: Partial<TlsServerOptions>;
  readonly client: TlsClientOptions;
  readonly want: object | RegExp;
}[] = [
  { name: "TLS 1.3 when nothing is said", server: {}, client: {}, want: { version: "TLSv1.3", alpn: undefined } },
  { name: "TLS 1.2 when one side goes no further", server: { maxVersion: "TLSv1.2" }, client: {}, want: { version: "TLSv1.2" } },
  { name: "no version in common", server: { maxVersion: "TLSv1.2" }, client: { minVersion: "TLSv1.3" }, want: /PROTOCOL_VERSION/ },
  {
    name: "the server's choice among the client's protocols",
    server: { alpn: ["h2", "http/1.1"] },
    client: { alpn: ["http/1.1"] },
    want: { alpn: "http/1.1" },
  },
  { name: "no protocol in common", server: { alpn: ["h2"] }, client: { alpn: ["http/1.1"] }, want: /NO_APPLICATION_PROTOCOL/ },
  { name: "no curve in common", server: { curves: "P-256" }, client: { curves: "X25519" }, want: /ERR_SSL/ },
];

for (const { name, server, client, want } of cases) {
  test(`a handshake: ${name}`, LIMIT, async () => {
    const outcome = await meet(server, client);
    if (want instanceof RegExp) assert.match(typeof outcome === "string" ? outcome : "it succeeded", want);
    else {
      assert.ok(typeof outcome === "object", `it failed: ${JSON.stringify(outcome)}`);
      assert.partialDeepStrictEqual(outcome, { server: want, client: want });
      assert.deepEqual(outcome.server?.peerUris, ["spiffe://cluster.local/ns/default/sa/a"]);
    }
  });
}

test("a list of ciphers or curves that OpenSSL does not know is refused at once", () => {
  for (const wrong of [{ ciphers: "NO-SUCH-CIPHER" }, { curves: "no-such-curve" }])
    assert.throws(() => realNet().tlsClient(wrong), { name: "HostError", message: /TLS client certificate/ });
});

test("contexts of the same content cost nothing again, whatever is checked by them", async () => {
  const net = realNet();
  const { ca, identity } = await pki;
  const make = (): void => {
    net.tlsServer({ ...identity, ca, alpn: ["http/1.1"], clientCertificate: "require", verifyPeer: () => undefined });
  };
  make();
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 3_000; i++) make();
  // Each would keep 30 KB in OpenSSL.
  assert.ok(process.memoryUsage.rss() - before < 60 << 20);
});

test("connections that come and go, some of them in the middle, leave the others alone", LIMIT, async () => {
  const net = realNet();
  const { ca, identity } = await pki;
  const server = net.tlsServer({ ...identity, ca, clientCertificate: "require" });
  const client = net.tlsClient({ ...identity, ca });
  const listener = await net.listen({ address: { ip: "127.0.0.1", port: 0 } }, (connection) => {
    connection.handle({ onData: (bytes) => connection.writeBorrowed(bytes), onEnd: () => connection.end(), onClose: () => undefined });
    connection.startTls(server);
  });
  const visit = (index: number): Promise<string> =>
    new Promise((resolve) => {
      const word = `visitor ${index} `.repeat(index % 5 === 0 ? 5_000 : 1);
      let heard = "";
      const connection = net.connect(
        { address: listener.address, tls: { context: client } },
        {
          onConnect: () => (index % 7 === 0 ? connection.destroy() : connection.write(word)),
          onData: (bytes) => {
            heard += Buffer.from(bytes).toString();
            if (heard.length >= word.length) connection.end();
          },
          onClose: (error) => resolve(index % 7 === 0 || index % 11 === 0 || heard === word ? "" : `${index}: ${heard.slice(0, 40)} ${error?.message}`),
        },
      );
      // In the middle of the handshake.
      if (index % 11 === 0) setTimeout(() => connection.destroy(index % 2 === 0), 1);
    });
  let next = 1;
  const faults: string[] = [];
  const visitor = async (): Promise<void> => {
    while (next <= 600) faults.push(await visit(next++));
  };
  await Promise.all(Array.from({ length: 20 }, visitor));
  assert.deepEqual(
    faults.filter((fault) => fault !== ""),
    [],
  );
  await listener.close();
});
