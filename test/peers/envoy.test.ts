/**
 * Weft's proxy beside Envoy: the same bootstrap, the same requests, byte for byte; statuses, chosen routes, bodies and
 * headers must be equal, and so must the counters that both have. Envoy is fetched into the user's cache when it is not
 * there; without it the test is skipped, and says how to get it.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, request } from "node:http";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ensureEnvoy } from "#tools/peers.ts";
import { bootstrap } from "./envoy-bootstrap.ts";

const envoy = ensureEnvoy();
const skip = "missing" in envoy ? `no Envoy on this machine; to run these tests: ${envoy.install}` : false;
const root = join(import.meta.dirname, "../..");

interface Running {
  readonly name: string;
  readonly port: number;
  readonly admin: number;
  readonly child: ChildProcess;
}

const folder = mkdtempSync(join(tmpdir(), "weft-envoy-"));
const proxies: Running[] = [];
const servers: Server[] = [];

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Tells in its body what it was sent. */
function backend(): Server {
  return createHttpServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const url = incoming.url ?? "";
      if (url.startsWith("/reset")) {
        incoming.socket.destroy();
        return;
      }
      outgoing.setHeader("x-backend", "yes");
      if (url.includes("204")) outgoing.statusCode = 204;
      if (url.includes("304")) outgoing.statusCode = 304;
      if (url.includes("500")) outgoing.statusCode = 500;
      const interesting = Object.entries(incoming.headers).filter(
        ([name]) =>
          /^(host|x-(added|set|gone|forwarded-proto|envoy-original.*|user)|content-length|transfer-encoding|te|connection|expect)$/.test(name) &&
          name !== "connection",
      );
      const text = JSON.stringify({
        method: incoming.method,
        url,
        headers: Object.fromEntries(interesting.sort()),
        body: Buffer.concat(chunks).toString("latin1"),
      });
      if (url.includes("chunked")) {
        outgoing.write(text.slice(0, 5));
        outgoing.end(text.slice(5));
      } else outgoing.end(text);
    });
  });
}

async function start(
  name: string,
  command: readonly string[],
  ports: { readonly backend: number; readonly slow: number; readonly dead: number },
): Promise<void> {
  const port = await freePort();
  const admin = await freePort();
  const file = join(folder, `${name}.json`);
  writeFileSync(file, bootstrap({ listener: port, admin, ...ports }));
  const [program = "", ...args] = command.map((word) => (word === "FILE" ? file : word));
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  child.stderr?.on("data", (bytes: Buffer) => (complaint += bytes.toString()));
  proxies.push({ name, port, admin, child });
  for (let i = 0; i < 200; i++) {
    if (child.exitCode !== null) assert.fail(`${name} ended: ${complaint}`);
    if ((await get(admin, "/ready").catch(() => "")).includes("LIVE")) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`${name} is not ready: ${complaint}`);
}

function get(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ port, host: "127.0.0.1", path }, (response) => {
      let text = "";
      response.on("data", (bytes: Buffer) => (text += bytes.toString()));
      response.on("end", () => resolve(text));
    });
    call.on("error", reject);
    call.end();
  });
}

/** Sends text, half-closes nothing, reads until the peer closes or nothing comes for a while. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text, "latin1"));
    socket.setTimeout(1500, () => socket.destroy());
    socket.on("data", (bytes) => (answer += bytes.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer));
  });
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const COMPARED = ["location", "content-type", "x-route", "x-backend", "server", "connection", "transfer-encoding", "content-length", "x-envoy-overloaded"];

function read(answer: string, ports: readonly number[]): Answer {
  const [head = "", ...rest] = answer.replace(/^HTTP\/1.1 100 Continue\r\n\r\n/, "").split("\r\n\r\n");
  const [line = "", ...lines] = head.split("\r\n");
  const headers = Object.fromEntries(
    lines
      .map((one) => [one.slice(0, one.indexOf(":")).toLowerCase(), one.slice(one.indexOf(":") + 1).trim()] as const)
      .filter(([name]) => COMPARED.includes(name)),
  );
  // Ports differ between the two, and nothing else may.
  const alike = (text: string): string => ports.reduce((out, port) => out.replaceAll(String(port), "PORT"), text);
  return {
    status: Number(line.split(" ")[1] ?? 0),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, alike(value)])),
    body: alike(rest.join("\r\n\r\n")),
  };
}

/** Where chunks are cut is each proxy's own business. */
function whole(body: string, encoding: string | undefined): string {
  if (encoding !== "chunked") return body;
  let out = "";
  for (let rest = body; rest !== "";) {
    const end = rest.indexOf("\r\n");
    const size = Number.parseInt(rest.slice(0, end), 16);
    if (size === 0) return out;
    out += rest.slice(end + 2, end + 2 + size);
    rest = rest.slice(end + 4 + size);
  }
  return out;
}

before(async () => {
  if ("missing" in envoy) return;
  const slow = createServer((socket) => socket.on("error", () => undefined));
  const http = backend();
  servers.push(http, slow);
  const ports = { backend: await listening(http), slow: await listening(slow), dead: await freePort() };
  await start("weft", [process.execPath, join(root, "src/bin/proxy.ts"), "-c", "FILE"], ports);
  await start("envoy", [envoy.path, "-c", "FILE", "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"], ports);
});

after(async () => {
  for (const { child } of proxies) child.kill("SIGKILL");
  for (const server of servers) {
    server.close();
    if ("closeAllConnections" in server) (server as unknown as { closeAllConnections(): void }).closeAllConnections();
    server.unref();
  }
  rmSync(folder, { recursive: true, force: true });
});

const GET = (path: string, headers = ""): string => `GET ${path} HTTP/1.1\r\nhost: any.test\r\n${headers}connection: close\r\n\r\n`;
const METHOD = (method: string, path: string, headers = "", body = ""): string =>
  `${method} ${path} HTTP/1.1\r\nhost: any.test\r\n${headers}connection: close\r\n\r\n${body}`;
const ON = (host: string): string => `GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`;

const REQUESTS: readonly string[] = [
  ...["/exact", "/exact?q", "/exact/", "/re/12/x", "/re/12/xy", "/sep", "/sep/a", "/separate", "/case/x", "/CASE"].map((path) => GET(path)),
  ...["jason", "JAne", "root", "other", "a, b"].map((user) => GET("/h", `x-user: ${user}\r\n`)),
  GET("/h"),
  GET("/h", "x-user: jason\r\nx-user: jason\r\n"),
  GET("/h", "x-user: root\r\nx-user: jason\r\n"),
  GET("/h", "x-user: root\r\nx-user: root\r\n"),
  GET("/h", "x-user: root,b\r\n"),
  GET("/secret", "x-pass: no\r\nx-pass: yes\r\n"),
  ...["1", "9", "10", "-1", "x", ""].map((number) => GET("/n", `x-number: ${number}\r\n`)),
  METHOD("POST", "/m", "content-length: 0\r\n"),
  GET("/m"),
  ...["/q?a=1", "/q?a=2", "/q?b", "/q?x&a=1&a=2", "/q", "/q?a=%31"].map((path) => GET(path)),
  ...["/rw/x?y=1", "/rw/", "/rr/aa/bb?c", "/host"].map((path) => GET(path)),
  ...["/https/x?y", "/redirect-path?a=b", "/redirect-prefix/x?y", "/redirect-strip/a?b"].map((path) => GET(path)),
  "GET /https HTTP/1.1\r\nhost: any.test:80\r\nconnection: close\r\n\r\n",
  ...["/direct", "/direct-empty", "/dead", "/retry", "/nobody", "/nocluster", "/slow", "/reset", "/missing"].map((path) => GET(path)),
  METHOD("HEAD", "/direct"),
  METHOD("HEAD", "/exact"),
  ...["/body/204", "/body/304", "/body/500", "/body/chunked"].map((path) => GET(path)),
  METHOD("POST", "/body", "content-length: 5\r\n", "hello"),
  METHOD("POST", "/body", "transfer-encoding: chunked\r\n", "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"),
  METHOD("PUT", "/body", "content-length: 5\r\nexpect: 100-continue\r\n", "hello"),
  GET("/headers", "x-gone: a\r\nx-set: b\r\nx-added: c\r\n"),
  GET("/secret"),
  GET("/secret", "x-pass: yes\r\n"),
  GET("/secret/x?y", "x-pass: no\r\n"),
  METHOD("DELETE", "/admin"),
  GET("/admin"),
  METHOD("POST", "/secret", "content-length: 5\r\n", "hello"),
  ...["exact.example.org", "EXACT.example.org", "a.example.org", "a.b.example.org", ".example.org", "pre.x", "pre.", "exact.example.org:80"].map(ON),
  "GET http://exact.example.org/x HTTP/1.1\r\nhost: any.test\r\nconnection: close\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nhost: any.test\r\nconnection: close\r\n\r\n",
  GET("/ws", "upgrade: websocket\r\n").replace("connection: close", "connection: upgrade"),
];

const MALFORMED: readonly { readonly name: string; readonly text: string }[] = [
  { name: "no host", text: "GET /exact HTTP/1.1\r\n\r\n" },
  { name: "length with encoding", text: METHOD("POST", "/body", "content-length: 3\r\ntransfer-encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n") },
  { name: "two lengths", text: METHOD("POST", "/body", "content-length: 3\r\ncontent-length: 4\r\n", "abcd") },
  { name: "unknown encoding", text: METHOD("POST", "/body", "transfer-encoding: gzip\r\n") },
  { name: "space before colon", text: GET("/exact", "x-a : b\r\n") },
  { name: "control character in a name", text: GET("/exact", "x\x01a: b\r\n") },
  { name: "NUL in a value", text: GET("/exact", "xa: b\0c\r\n") },
  { name: "bad chunk size", text: METHOD("POST", "/body", "transfer-encoding: chunked\r\n", "xyz\r\nabc\r\n0\r\n\r\n") },
  { name: "no version", text: "GET /exact\r\nhost: any.test\r\n\r\n" },
  { name: "not HTTP", text: "\x16\x03\x01\x00\x05hello\r\n\r\n" },
  { name: "too many headers", text: GET("/exact", "a: b\r\n".repeat(101)) },
  { name: "too large a head", text: GET("/exact", `a: ${"b".repeat(70_000)}\r\n`) },
  { name: "HTTP/1.0", text: "GET /exact HTTP/1.0\r\nhost: any.test\r\n\r\n" },
];

describe("Weft's proxy and Envoy, from one bootstrap", { skip }, () => {
  const ports = (): number[] => proxies.flatMap(({ port, admin }) => [port, admin]);
  const both = async (text: string): Promise<[Answer, Answer]> => {
    const [weft, other] = await Promise.all(proxies.map(async ({ port }) => read(await raw(port, text), ports())));
    return [weft ?? assert.fail("no weft"), other ?? assert.fail("no envoy")];
  };

  for (const text of REQUESTS) {
    const [line = "", ...headers] = text.split("\r\n");
    const brief = headers.filter((header) => header !== "" && !/^(connection: close|host: any.test)$/.test(header)).join(" ");
    it(`answer alike: ${line} ${brief}`.trim(), async () => {
      const [weft, other] = await both(text);
      assert.deepEqual(comparable(weft), comparable(other));
    });
  }

  it("have the same counters after this traffic", async () => {
    const [weft = new Map<string, number>(), other = new Map<string, number>()] = await Promise.all(proxies.map(({ admin }) => counters(admin)));
    const names = [...weft.keys()].filter((name) => other.has(name) && COUNTERS.test(name));
    assert.ok(names.length > 30, `only ${names.length} counters in common`);
    const pick = (all: ReadonlyMap<string, number>): object => Object.fromEntries(names.map((name) => [name, all.get(name)]));
    assert.deepEqual(pick(weft), pick(other));
  });

  for (const { name, text } of MALFORMED) {
    it(`refuse alike: ${name}`, async () => {
      const [weft, other] = await both(text);
      assert.equal(weft.status, other.status);
    });
  }
});

/** The transport's own words for a refused connection are the system's, not Envoy's. */
function comparable(answer: Answer): Answer {
  const { "content-length": length, ...headers } = answer.headers;
  const hasWords = answer.body.includes("transport failure reason");
  return {
    status: answer.status,
    headers: hasWords || length === undefined ? headers : { ...headers, "content-length": length },
    body: answer.body.replace(/, transport failure reason: .*/s, "").replace(/^\{.*\}$/s, (json) => JSON.stringify(JSON.parse(json))),
  };
}

const COUNTERS =
  /^(http\.ingress\.(downstream_rq_(total|http1_total|completed|[1-5]xx)|no_route|no_cluster|rq_redirect|rq_direct_response|rq_total|rbac\.(allowed|denied))|cluster\.(backend|dead|slow|empty)\.(upstream_rq_(total|completed|[1-5]xx|\d{3}|timeout|retry|retry_limit_exceeded|pending_total|pending_overflow)|upstream_cx_(connect_fail|none_healthy)|membership_(total|healthy)))$/;

async function counters(admin: number): Promise<Map<string, number>> {
  const text = await get(admin, "/stats");
  return new Map(
    text
      .split("\n")
      .flatMap((line) => (/^[^ ]+: \d+$/.test(line) ? [[line.slice(0, line.indexOf(": ")), Number(line.slice(line.indexOf(": ") + 2))] as const] : [])),
  );
}
