/** Requests for the listeners of http-bootstrap.ts, byte for byte. */
const lines = (line: string, headers: string, body: string): string => `${line}\r\nhost: any.test\r\n${headers}connection: close\r\n\r\n${body}`;

export const get = (path: string, headers = ""): string => lines(`GET ${path} HTTP/1.1`, headers, "");
export const send = (method: string, path: string, headers = "", body = ""): string => lines(`${method} ${path} HTTP/1.1`, headers, body);
export const on = (host: string, path = "/"): string => `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`;
const paths = (...all: readonly string[]): readonly string[] => all.map((path) => get(path));
/** A path that makes the broken backend answer these bytes. */
export const broken = (answer: string, prefix = ""): string => get(`${prefix}/broken/${Buffer.from(answer, "latin1").toString("base64url")}`);

/** Headers by which a client could steer a router, or pass for somebody else. */
const steering = (
  "retriable-status-codes retriable-header-names retry-on retry-grpc-on max-retries upstream-alt-stat-name upstream-rq-timeout-ms " +
  "upstream-rq-per-try-timeout-ms upstream-rq-timeout-alt-response expected-rq-timeout-ms force-trace ip-tags original-url hedge-on-per-try-timeout " +
  "decorator-operation downstream-service-cluster downstream-service-node original-path original-host external-address internal attempt-count"
)
  .split(" ")
  .map((name) => `x-envoy-${name}: 77\r\n`)
  .join("");

export const ROUTING: readonly string[] = [
  ...paths("/exact", "/exact?q", "/exact/", "/re/12/x", "/re/12/xy", "/re/1/x?y", "/sep", "/sep/a", "/sep?a", "/separate", "/case/x", "/CASE", "/cas"),
  ...["jason", "JAne", "root", "other", "a, b", ""].map((user) => get("/h/", `x-user: ${user}\r\n`)),
  ...["jason", "root", "abc", "abd", "", "foo, jason"].map((user) => get("/hs", `x-user: ${user}\r\n`)),
  get("/h/"),
  get("/hs"),
  ...["jason", "root,b"].map((user) => get("/h/", `x-user: ${user}\r\nx-user: ${user}\r\n`)),
  get("/h/", "x-user: root\r\nx-user: jason\r\n"),
  get("/h/", "x-user: root\r\nx-user: root\r\n"),
  ...["1", "9", "10", "-1", "x", "", "1.5", "99999999999999999999"].map((number) => get("/n", `x-number: ${number}\r\n`)),
  get("/two", "x-user: a\r\n"),
  get("/two", "x-user: a\r\nx-number: b\r\n"),
  send("POST", "/m", "content-length: 0\r\n"),
  get("/m"),
  ...paths("/q?a=1", "/q?a=2", "/q?b", "/q?b=", "/q?x&a=1&a=2", "/q?a=2&a=1", "/q", "/q?a=%31", "/q?c=12", "/q?c=1x", "/q?A=1", "/q?a=1#b", "/fraction"),
  ...["exact.example.org", "EXACT.example.org", "a.example.org", "a.b.example.org", "x-c.example.org", ".example.org", "example.org", "pre.x", "pre."].map(
    (host) => on(host),
  ),
  on("exact.example.org:80"),
  "GET http://exact.example.org/x HTTP/1.1\r\nhost: any.test\r\nconnection: close\r\n\r\n",
  "GET https://exact.example.org HTTP/1.1\r\nhost: any.test\r\nconnection: close\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nhost: any.test\r\nconnection: close\r\n\r\n",
  ...paths("/weighted", "/missing", "/", "/%zz", "/exact%2f", "//exact"),
  get("/cluster-header", "x-cluster: other\r\n"),
  get("/cluster-header", "x-cluster: none\r\n"),
  get("/cluster-header"),
];

export const CHANGING: readonly string[] = [
  ...paths(
    "/rw/x?y=1",
    "/rw/",
    "/rwe?a=b",
    "/rws",
    "/rws/a",
    "/rws?x",
    "/rwc/x",
    "/rr/aa/bb?c",
    "/rr/aa/bb/cc",
    "/rr/1",
    "/host",
    "/by-path/deep.test",
    "/forwarded",
  ),
  get("/by-header", "x-user: from.header\r\n"),
  get("/by-header"),
  ...paths(
    "/https/x?y",
    "/redirect-path?a=b",
    "/redirect-query?a=b",
    "/redirect-prefix/x?y",
    "/redirect-strip/a?b",
    "/redirect-regex/a/b?c",
    "/redirect-scheme/x",
  ),
  ...["any.test:80", "any.test:443", "any.test:8080", "[::1]", "[::1]:80"].map((host) => on(host, "/https")),
  on("any.test:80", "/redirect-prefix"),
  get("/https", "x-forwarded-proto: https\r\n"),
  ...paths("/direct", "/direct-empty", "/direct?x"),
  get("/headers", "x-gone: a\r\nx-set: b\r\nx-added: c\r\nx-user: u\r\n"),
  get("/headers"),
  on("attempts.test"),
  get("/trace", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=1,b=2\r\ntracestate: c=3\r\n"),
  get(
    "/trace",
    "x-b3-traceid: 463ac35c9f6413ad48485a3953bb6124\r\nx-b3-spanid: a2fb4a1d1a96d312\r\nx-b3-parentspanid: 0020000000000001\r\nx-b3-sampled: 1\r\nx-b3-flags: 1\r\n",
  ),
  get("/trace", "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1\r\n"),
  get("/body", "x-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: https\r\nx-envoy-internal: true\r\nx-forwarded-client-cert: By=a\r\n"),
  get("/body", "keep-alive: 5\r\nproxy-connection: keep-alive\r\nte: trailers\r\nx-user: a\r\nupgrade: h2c\r\n"),
  get("/body", "te: gzip, trailers\r\n"),
  get("/body", steering),
];

export const BODIES: readonly string[] = [
  send("HEAD", "/direct"),
  send("HEAD", "/exact"),
  send("HEAD", "/body/chunked"),
  ...paths("/status/204", "/status/304", "/status/500", "/status/503", "/body/chunked", "/truncated", "/chunked/truncated"),
  send("POST", "/body", "content-length: 5\r\n", "hello"),
  send("POST", "/body", "content-length: 0\r\n"),
  send("POST", "/body"),
  send("POST", "/body", "transfer-encoding: chunked\r\n", "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"),
  send("POST", "/body", "transfer-encoding: chunked\r\n", "0\r\n\r\n"),
  send("POST", "/body", "transfer-encoding: chunked\r\n", "zz\r\n"),
  send("POST", "/body", "transfer-encoding: Chunked\r\n", "003\r\nabc\r\n0\r\ntrailer: a\r\n\r\n"),
  send("PUT", "/body", "content-length: 5\r\nexpect: 100-continue\r\n", "hello"),
  ...["DELETE", "OPTIONS", "TRACE", "PUT", "FOO"].map((method) => send(method, "/body")),
  send("PATCH", "/body", "content-length: 1\r\n", "x"),
  get("/ws", "upgrade: websocket\r\n").replace("connection: close", "connection: upgrade"),
  "CONNECT any.test:80 HTTP/1.1\r\nhost: any.test:80\r\nconnection: close\r\n\r\n",
];

export const DENIED: readonly string[] = [
  get("/secret"),
  get("/secret", "x-pass: yes\r\n"),
  get("/secret/x?y", "x-pass: no\r\n"),
  get("/secret", "x-pass: no\r\nx-pass: yes\r\n"),
  get("/secret?/admin"),
  ...["7.7.7.7", "7.7.7.7, 8.8.8.8", "8.8.8.8,7.7.7.7", "x"].map((from) => get("/body", `x-forwarded-for: ${from}\r\n`)),
  get("/Secret"),
  get("/x/../secret"),
  send("DELETE", "/admin"),
  get("/admin"),
  send("POST", "/secret", "content-length: 5\r\n", "hello"),
  send("POST", "/secret", "transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
  get("/shadow", "x-user: mallory\r\n"),
  get("/open", "x-user: mallory\r\n"),
  get("/shadow"),
];

export const FAILURES: readonly string[] = [
  ...paths(
    "/dead",
    "/retry-dead",
    "/retry-status/status/503",
    "/retry-status/status/404",
    "/nobody",
    "/nocluster",
    "/nocluster-404",
    "/slow",
    "/try-slow",
    "/reset",
  ),
  send("POST", "/retry-status/status/500", "content-length: 5\r\n", "hello"),
  send("POST", "/dead", "content-length: 5\r\n", "hello"),
  broken("", "/retry-reset"),
  broken(""),
  broken("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
  broken("HTTP/1.0 200 OK\r\n\r\nuntil the end"),
  broken("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok"),
  broken("nonsense\r\n\r\n"),
  broken("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
  broken("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"),
  broken("HTTP/1.1 200 OK\r\nx y: z\r\ncontent-length: 2\r\n\r\nok"),
  broken("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"),
  broken("HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
  broken("HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n"),
];

/** For the listener "timed": what stands still, and what never ends. */
export const SLOW: readonly string[] = [
  get("/silent"),
  get("/silent-route"),
  send("POST", "/body", "content-length: 10\r\n", "hello"),
  send("POST", "/silent", "content-length: 10\r\n", "hello"),
  send("POST", "/body", "transfer-encoding: chunked\r\n", "5\r\nhello\r\n"),
];

/** For the listener "edge". */
export const EDGE: readonly string[] = [
  get("/body", steering),
  get("/body", "x-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: https\r\nx-envoy-internal: true\r\nx-envoy-expected-rq-timeout-ms: 5\r\n"),
  ...paths(
    "/x/../admin/a",
    "/x/./y",
    "/a//b///c",
    "/%61dmin",
    "/a%2fb",
    "/%2e%2e/admin",
    "/admin/..",
    "/a\\b",
    "/a/%00",
    "/a?b/../c",
    "/.../x",
    "/a/..//admin",
  ),
  on("any.test:8080", "/body"),
  on("old.example.org:80"),
  "GET /body HTTP/1.0\r\n\r\n",
  "GET /body HTTP/1.0\r\nhost: any.test\r\n\r\n",
  "POST /body HTTP/1.0\r\nhost: any.test\r\ncontent-length: 5\r\n\r\nhello",
  "GET /chunked HTTP/1.0\r\nhost: any.test\r\n\r\n",
  get("/body", "a: b\r\n".repeat(30)),
  get("/body", `a: ${"b".repeat(9_000)}\r\n`),
];
