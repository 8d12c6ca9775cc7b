/** What every implementation of Http does. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { HttpExchange, HttpPeer, HttpServer, HttpUpgrade } from "#host/http.ts";
import { authority } from "./certificates.ts";
import type { Authority } from "./certificates.ts";
import type { Subject } from "./subject.ts";

const HOUR_MS = 3_600_000;

export function httpContract(make: () => Promise<Subject>): void {
  describe("http", () => {
    let subject: Subject;
    let ca: Authority;
    let server: HttpServer;
    let url = "";
    const peers: HttpPeer[] = [];
    let closedStreams = 0;

    function onRequest(exchange: HttpExchange): void {
      peers.push(exchange.peer);
      if (exchange.url === "/never") return;
      if (exchange.url === "/stream") {
        const stream = exchange.stream(200, { "x-kind": "stream" }, () => void closedStreams++);
        stream.write("one\n");
        stream.write(Buffer.from("two\n"));
        return;
      }
      exchange.body().then(
        (body) =>
          exchange.respond(
            201,
            { "X-Method": exchange.method, "x-url": exchange.url, "x-seen": exchange.headers["x-sent"] ?? "" },
            Buffer.concat([Buffer.from("got "), body]),
          ),
        (error: { readonly code?: string }) => exchange.respond(413, {}, String(error.code)),
      );
    }

    function onUpgrade(upgrade: HttpUpgrade): void {
      if (upgrade.url === "/refuse") return upgrade.refuse(404, {}, "nothing here");
      const connection = upgrade.accept(upgrade.protocols[1], {
        onMessage(bytes, binary) {
          if (Buffer.from(bytes).toString() === "bye") connection.close(1000);
          else connection.send(binary ? bytes : `text ${Buffer.from(bytes).toString()}`);
        },
        onClose: () => undefined,
      });
    }

    before(async () => {
      subject = await make();
      ca = await authority("http");
      const serving = await ca.issue([{ type: "ip", value: "127.0.0.1" }]);
      const options = { address: { ip: "127.0.0.1", port: 0 }, tls: { ...serving, clientCa: ca.ca }, maxBodyBytes: 100 };
      server = await subject.settle(subject.host.http.serve(options, { onRequest, onUpgrade }));
      assert.ok("ip" in server.address && server.address.port > 0);
      url = `https://127.0.0.1:${server.address.port}`;
    });
    after(async () => {
      await subject.settle(server.close());
      await subject.close();
    });

    const ask = (path: string, more: object = {}) => subject.settle(subject.host.http.request({ method: "GET", url: url + path, tls: { ca: ca.ca }, ...more }));

    const read = async (path: string, more: object = {}) => subject.settle((await ask(path, more)).text());

    it("carries method, path, headers, body and status both ways", async () => {
      const response = await ask("/a?b=c", { method: "POST", body: "hello", headers: { "X-Sent": "1" } });
      assert.deepEqual([response.status, response.headers["x-method"], response.headers["x-url"], response.headers["x-seen"]], [201, "POST", "/a?b=c", "1"]);
      assert.equal(await subject.settle(response.text()), "got hello");
    });

    it("tells a body that is too large", async () => {
      const response = await ask("/", { method: "PUT", body: new Uint8Array(101) });
      assert.deepEqual([response.status, await subject.settle(response.text())], [413, "EMSGSIZE"]);
    });

    it("streams what is written as it is written, and tells when the client goes away", async () => {
      const gone = new AbortController();
      const response = await ask("/stream", { signal: gone.signal });
      assert.equal(response.headers["x-kind"], "stream");
      let seen = "";
      const reading = (async () => {
        for await (const chunk of response.chunks()) {
          seen += Buffer.from(chunk).toString();
          if (seen.endsWith("two\n")) gone.abort();
        }
      })();
      await assert.rejects(subject.settle(reading));
      assert.equal(seen, "one\ntwo\n");
      for (let waited = 0; closedStreams === 0 && waited < 100; waited++) await subject.settle(subject.host.clock.sleep(10));
      assert.equal(closedStreams, 1);
    });

    it("gives up when no answer comes in time, and when nobody listens", async () => {
      await assert.rejects(ask("/never", { timeoutMs: 30 }), { code: "ETIMEDOUT" });
      await assert.rejects(subject.settle(subject.host.http.request({ method: "GET", url: "http://127.0.0.1:1/" })), { code: "ECONNREFUSED" });
    });

    it("names the client by its certificate, and says why one does not count", async () => {
      const admin = await ca.issue([], { subject: "CN=admin, O=masters, O=others" });
      await read("/who", { tls: { ca: ca.ca, ...admin } });
      assert.deepEqual(peers.at(-1)?.certificate, { commonName: "admin", organizations: ["masters", "others"] });
      const stranger = await (await authority("stranger")).issue([], { subject: "CN=eve" });
      await read("/who", { tls: { ca: ca.ca, ...stranger } });
      assert.deepEqual([peers.at(-1)?.certificate, typeof peers.at(-1)?.certificateProblem], [undefined, "string"]);
      const now = subject.host.clock.now();
      const late = await ca.issue([], { subject: "CN=late", validity: { notBefore: new Date(now - 2 * HOUR_MS), notAfter: new Date(now - HOUR_MS) } });
      await read("/who", { tls: { ca: ca.ca, ...late } });
      assert.deepEqual([peers.at(-1)?.certificate, peers.at(-1)?.certificateProblem], [undefined, "certificate has expired"]);
      await read("/who");
      assert.deepEqual([peers.at(-1)?.certificate, peers.at(-1)?.certificateProblem], [undefined, undefined]);
    });

    it("trusts no server of another authority", async () => {
      const other = await authority("other");
      await assert.rejects(subject.settle(subject.host.http.request({ method: "GET", url, tls: { ca: other.ca } })));
    });

    it("shows a renewed certificate to connections that begin later", async () => {
      const [first, second] = [await authority("first"), await authority("second")];
      const names = [{ type: "ip" as const, value: "127.0.0.1" }];
      const options = { address: { ip: "127.0.0.1", port: 0 }, tls: await first.issue(names) };
      const renewed = await subject.settle(subject.host.http.serve(options, { onRequest: (exchange) => exchange.respond(200, {}, "") }));
      const { port } = renewed.address as { port: number };
      const trusts = async (each: Authority): Promise<boolean> => {
        try {
          const response = await subject.settle(subject.host.http.request({ method: "GET", url: `https://127.0.0.1:${port}/`, tls: { ca: each.ca } }));
          await subject.settle(response.text());
          return true;
        } catch {
          return false;
        }
      };
      assert.deepEqual([await trusts(first), await trusts(second)], [true, false]);
      renewed.renew(await second.issue(names));
      assert.equal(await trusts(second), true);
      await subject.settle(renewed.close());
    });

    it("opens WebSockets with the chosen subprotocol, text and binary, and ends them", async () => {
      const received: string[] = [];
      const closed = Promise.withResolvers<void>();
      const { connection, protocol } = await subject.settle(
        subject.host.http.webSocket(
          { url: `${url}/ws`, protocols: ["v5", "v4"], tls: { ca: ca.ca } },
          { onMessage: (bytes, binary) => void received.push(`${binary}:${Buffer.from(bytes).toString()}`), onClose: () => closed.resolve() },
        ),
      );
      assert.equal(protocol, "v4");
      connection.send(Buffer.from("raw"));
      connection.send("words");
      connection.send("bye");
      await subject.settle(closed.promise);
      assert.deepEqual(received, ["true:raw", "false:text words"]);
    });

    it("says with which status a WebSocket was refused", async () => {
      const refused = subject.host.http.webSocket(
        { url: `${url}/refuse`, protocols: [], tls: { ca: ca.ca } },
        { onMessage: () => undefined, onClose: () => undefined },
      );
      await assert.rejects(
        subject.settle(refused),
        (error: Error & { readonly code?: string }) => error.code === "HTTP_404" && error.message.endsWith("nothing here"),
      );
    });
  });
}
