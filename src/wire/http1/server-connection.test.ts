import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { ByteOutput } from "#wire/http/byte-output.ts";
import { HeaderBlock } from "#wire/http/header-block.ts";
import { headerName } from "#wire/http/header-name.ts";
import type { RequestHandler, ServerStream } from "#wire/http/stream.ts";
import { naiveRequests } from "./naive-twin.test.ts";
import type { Http1Problem } from "./problem.ts";
import { Http1ServerConnection } from "./server-connection.ts";

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const asText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

class Output implements ByteOutput {
  text = "";
  state = "open";
  paused = false;
  readonly bufferedBytes = 0;
  write(chunk: Uint8Array | string): void {
    this.text += typeof chunk === "string" ? chunk : asText(chunk);
  }
  writeBorrowed(bytes: Uint8Array, start: number, end: number): void {
    this.text += asText(bytes.subarray(start, end));
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.state = "ended";
  }
  destroy(): void {
    this.state = "destroyed";
  }
}

function linesOf(headers: HeaderBlock): string {
  const output = new Output();
  headers.writeTo(output);
  return output.text;
}

interface Recording {
  readonly events: string[];
  readonly output: Output;
  problem: Http1Problem | undefined;
}

/** Feeds the pieces to a server that answers 200 with an empty body at the end of each request. */
function serve(pieces: readonly string[], options: { acceptHttp10?: boolean } = {}): Recording {
  const output = new Output();
  const recording: Recording = { events: [], output, problem: undefined };
  const settings = {
    limits: { maxBytes: 2048, maxHeaders: 20 },
    scheme: "http",
    acceptHttp10: options.acceptHttp10 ?? true,
    forwardTrailers: true,
    now: () => 0,
  } as const;
  const connection: Http1ServerConnection = new Http1ServerConnection(output, settings, {
    onRequest(head, stream) {
      recording.events.push(`${head.method} ${head.path} ${[...head.headers.entries()].map(([n, v]) => `${n}=${v}`).join("|")}`);
      return answerAtEnd(recording.events, stream);
    },
    onProblem(problem) {
      recording.problem = problem;
    },
    onLingering() {},
  });
  for (const piece of pieces) connection.onData(latin1(piece));
  return recording;
}

function answerAtEnd(events: string[], stream: ServerStream): RequestHandler {
  let body = "";
  return {
    onBody(bytes, start, end) {
      body += asText(bytes.subarray(start, end));
    },
    onEnd(trailers) {
      if (body !== "") events.push(`body ${body}`);
      if (trailers !== undefined) events.push(`trailers ${linesOf(trailers)}`);
      events.push("end");
      stream.sendHead({ status: 200, headers: new HeaderBlock(), hasBody: false }, true);
    },
    onAbort(failure) {
      events.push(`abort ${failure}`);
    },
    onWritable() {},
    onComplete() {},
  };
}

const HOST = "Host: a\r\n";
const GOOD: readonly { readonly name: string; readonly input: string; readonly events: readonly string[] }[] = [
  { name: "a plain request", input: `GET / HTTP/1.1\r\n${HOST}\r\n`, events: ["GET / host=a", "end"] },
  { name: "empty lines before the request line", input: `\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`, events: ["GET / host=a", "end"] },
  { name: "white space around values", input: `GET / HTTP/1.1\r\n${HOST}X: \t b c\t \r\nY:\r\n\r\n`, events: ["GET / host=a|x=b c|y=", "end"] },
  { name: "latin1 in a value", input: `GET / HTTP/1.1\r\n${HOST}X: \xe9\r\n\r\n`, events: ["GET / host=a|x=\xe9", "end"] },
  {
    name: "a body by length",
    input: `POST /p HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    events: ["POST /p host=a|content-length=3", "body abc", "end"],
  },
  {
    name: "a body by chunks, with extension and trailers",
    input: `POST /p HTTP/1.1\r\n${HOST}Transfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n`,
    events: ["POST /p host=a|transfer-encoding=Chunked", "body abc0123456789", "trailers T: v\r\n", "end"],
  },
  {
    name: "pipelined requests in order",
    input: `GET /1 HTTP/1.1\r\n${HOST}\r\nPOST /2 HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\nxGET /3 HTTP/1.1\r\n${HOST}\r\n`,
    events: ["GET /1 host=a", "end", "POST /2 host=a|content-length=1", "body x", "end", "GET /3 host=a", "end"],
  },
  { name: "absolute form overrides Host", input: `GET http://b/x?y HTTP/1.1\r\n${HOST}\r\n`, events: ["GET /x?y host=b", "end"] },
  { name: "asterisk form", input: `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, events: ["OPTIONS * host=a", "end"] },
  { name: "HTTP/1.0 without Host", input: "GET / HTTP/1.0\r\n\r\n", events: ["GET / ", "end"] },
  {
    name: "headers that Connection names are dropped",
    input: `GET / HTTP/1.1\r\n${HOST}Connection: x-a, close\r\nX-A: 1\r\n\r\n`,
    events: ["GET / host=a|connection=x-a, close", "end"],
  },
];

const BAD: readonly { readonly name: string; readonly input: string; readonly status: number }[] = [
  { name: "bare LF in the request line", input: `GET / HTTP/1.1\n${HOST}\r\n`, status: 400 },
  { name: "bare LF in a header", input: "GET / HTTP/1.1\r\nHost: a\n\r\n", status: 400 },
  { name: "bare CR in a value", input: `GET / HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`, status: 400 },
  { name: "obs-fold", input: `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, status: 400 },
  { name: "space before colon", input: `GET / HTTP/1.1\r\n${HOST}X : a\r\n\r\n`, status: 400 },
  { name: "control character in a name", input: `GET / HTTP/1.1\r\n${HOST}X\x01: a\r\n\r\n`, status: 400 },
  { name: "NUL in a value", input: `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, status: 400 },
  { name: "empty name", input: `GET / HTTP/1.1\r\n${HOST}: a\r\n\r\n`, status: 400 },
  { name: "a line without colon", input: `GET / HTTP/1.1\r\n${HOST}Xa\r\n\r\n`, status: 400 },
  { name: "two spaces in the request line", input: `GET  / HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: "tab in the request line", input: `GET\t/ HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: "no version", input: `GET /\r\n${HOST}\r\n`, status: 400 },
  { name: "HTTP/2.0 on the line", input: `GET / HTTP/2.0\r\n${HOST}\r\n`, status: 505 },
  { name: "control character in the target", input: `GET /\x7f HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: "a target that is no target", input: `GET x HTTP/1.1\r\n${HOST}\r\n`, status: 400 },
  { name: "no Host in 1.1", input: "GET / HTTP/1.1\r\n\r\n", status: 400 },
  { name: "two Hosts", input: `GET / HTTP/1.1\r\n${HOST}Host: a\r\n\r\n`, status: 400 },
  { name: "a slash in Host", input: "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", status: 400 },
  { name: "length with encoding", input: `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`, status: 400 },
  { name: "two lengths", input: `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\n`, status: 400 },
  { name: "a list of lengths", input: `POST / HTTP/1.1\r\n${HOST}Content-Length: 3, 3\r\n\r\n`, status: 400 },
  { name: "a signed length", input: `POST / HTTP/1.1\r\n${HOST}Content-Length: +3\r\n\r\n`, status: 400 },
  { name: "an endless length", input: `POST / HTTP/1.1\r\n${HOST}Content-Length: 9999999999999999\r\n\r\n`, status: 400 },
  { name: "an unknown encoding", input: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n`, status: 501 },
  { name: "an encoding with a vertical tab", input: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n`, status: 400 },
  { name: "encoding in 1.0", input: `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`, status: 400 },
  { name: "a chunk size with 0x", input: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n`, status: 400 },
  { name: "a chunk size with a space", input: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n`, status: 400 },
  { name: "an empty chunk size", input: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n\r\n`, status: 400 },
  { name: "a huge chunk size", input: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1000000000000\r\n`, status: 400 },
  { name: "a chunk line with bare LF", input: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n`, status: 400 },
  { name: "chunk data without CRLF", input: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n`, status: 400 },
  { name: "a trailer with a bad name", input: `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\nX Y: a\r\n\r\n`, status: 400 },
  { name: "too many headers", input: `GET / HTTP/1.1\r\n${HOST}${"x: y\r\n".repeat(20)}\r\n`, status: 431 },
  { name: "too large a head", input: `GET / HTTP/1.1\r\n${HOST}X: ${"y".repeat(3000)}\r\n\r\n`, status: 431 },
  { name: "too large a head that never ends", input: `GET /${"y".repeat(3000)}`, status: 431 },
];

for (const { name, input, events } of GOOD) {
  test(`reads ${name}, wherever it is cut`, () => {
    const whole = serve([input]);
    const dropped = name.startsWith("headers that Connection");
    assert.deepEqual(whole.events, events);
    if (!dropped && !name.startsWith("absolute"))
      assert.deepEqual(
        naiveRequests(input).events.filter((e) => !e.startsWith("trailers")),
        events.filter((e) => !e.startsWith("trailers")),
      );
    for (let cut = 1; cut < input.length; cut++) {
      const pieces = serve([input.slice(0, cut), input.slice(cut)]);
      assert.deepEqual(pieces.events, events, `cut at ${cut}`);
      assert.equal(pieces.output.text, whole.output.text, `cut at ${cut}`);
    }
    assert.deepEqual(serve(input.split("")).events, events);
  });
}

for (const { name, input, status } of BAD) {
  test(`refuses ${name} with ${status}, wherever it is cut`, () => {
    const whole = serve([input]);
    assert.equal(whole.problem?.status, status);
    assert.ok(whole.output.text.startsWith(`HTTP/1.1 ${status} `));
    assert.equal(whole.output.state, "ended");
    assert.ok(name.includes("large") || name.includes("too many") || name.startsWith("HTTP/2") || naiveRequests(input).refused, "the naive twin refuses too");
    for (let cut = 1; cut < input.length; cut++) assert.equal(serve([input.slice(0, cut), input.slice(cut)]).problem?.status, status, `cut at ${cut}`);
  });
}

test("nothing behind a refused request is read", () => {
  const recorded = serve([`GET /1 HTTP/1.1\r\nX : a\r\n\r\nGET /2 HTTP/1.1\r\n${HOST}\r\n`]);
  assert.deepEqual(recorded.events, []);
});

test("random mutations of good requests: the fast reader and the naive twin agree", () => {
  const seeds = GOOD.filter(({ name }) => !name.startsWith("absolute") && !name.startsWith("headers that")).map(({ input }) => input);
  const mutation = fc.record({
    at: fc.double({ min: 0, max: 0.999, noNaN: true }),
    remove: fc.nat(2),
    insert: fc.constantFrom("", "\r", "\n", " ", ":", "\0", "a", "0", ",", "\r\n", "chunked"),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(mutation, { minLength: 1, maxLength: 3 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (seed, mutations, cutAt) => {
        let input = seed;
        for (const { at, remove, insert } of mutations) {
          const i = Math.floor(at * input.length);
          input = input.slice(0, i) + insert + input.slice(i + remove);
        }
        if (/CONNECT|HTTP\/(?!1\.[01]\r)|[Cc]onnection|http:|OPTIONS/.test(input)) return;
        const naive = naiveRequests(input);
        const whole = serve([input]);
        const cut = Math.floor(cutAt * input.length);
        const pieces = serve([input.slice(0, cut), input.slice(cut)]);
        assert.deepEqual(pieces.events, whole.events);
        assert.equal(pieces.problem, whole.problem);
        if (!naive.refused && whole.problem === undefined && naive.events.at(-1) === "end") {
          // A connection that says close (HTTP/1.0) reads no further.
          const events = whole.events.filter((e) => !e.startsWith("trailers"));
          assert.deepEqual(events, naive.events.slice(0, events.length));
        }
        if (naive.refused && !/HTTP\/1\.0/.test(input)) assert.notEqual(whole.problem, undefined, JSON.stringify(input));
      },
    ),
    { numRuns: 2000 },
  );
});

function oneExchange(request: string, answer: (stream: ServerStream) => void): Output {
  const output = new Output();
  const settings = { limits: { maxBytes: 2048, maxHeaders: 20 }, scheme: "http", acceptHttp10: true, forwardTrailers: false, now: () => 0 } as const;
  const connection: Http1ServerConnection = new Http1ServerConnection(output, settings, {
    onRequest: (_head, stream) => ({ onBody() {}, onEnd: () => answer(stream), onAbort() {}, onWritable() {}, onComplete() {} }),
    onProblem() {},
    onLingering() {},
  });
  connection.onData(latin1(request));
  return output;
}

const withBody = (status: number, length?: string) => (stream: ServerStream) => {
  const headers = new HeaderBlock();
  if (length !== undefined) headers.add(headerName("content-length"), length);
  stream.sendHead({ status, headers, hasBody: true }, false);
  stream.sendBody(latin1("hey"), 0, 3);
  stream.sendEnd(undefined);
};

const ANSWERS: readonly {
  readonly name: string;
  readonly request: string;
  readonly answer: (stream: ServerStream) => void;
  readonly output: string;
  readonly state?: string;
}[] = [
  {
    name: "a body of known length",
    request: `GET / HTTP/1.1\r\n${HOST}\r\n`,
    answer: withBody(200, "3"),
    output: "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhey",
  },
  {
    name: "a body of unknown length by chunks",
    request: `GET / HTTP/1.1\r\n${HOST}\r\n`,
    answer: withBody(200),
    output: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhey\r\n0\r\n\r\n",
  },
  {
    name: "to HTTP/1.0 until close",
    request: `GET / HTTP/1.0\r\n${HOST}\r\n`,
    answer: withBody(200),
    output: "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhey",
    state: "ended",
  },
  {
    name: "to HTTP/1.0 with keep-alive",
    request: `GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`,
    answer: withBody(200, "3"),
    output: "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nhey",
  },
  {
    name: "to HEAD without body, with its length",
    request: `HEAD / HTTP/1.1\r\n${HOST}\r\n`,
    answer: withBody(200, "3"),
    output: "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
  },
  { name: "204 without body and length", request: `GET / HTTP/1.1\r\n${HOST}\r\n`, answer: withBody(204, "3"), output: "HTTP/1.1 204 No Content\r\n\r\n" },
  { name: "304 without body", request: `GET / HTTP/1.1\r\n${HOST}\r\n`, answer: withBody(304), output: "HTTP/1.1 304 Not Modified\r\n\r\n" },
  {
    name: "close when the client asks",
    request: `GET / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`,
    answer: withBody(200, "3"),
    output: "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nhey",
    state: "ended",
  },
];

for (const { name, request, answer, output, state } of ANSWERS) {
  test(`answers ${name}`, () => {
    const written = oneExchange(request, answer);
    assert.equal(written.text, output);
    assert.equal(written.state, state ?? "open");
  });
}

test("an answer before the request is whole closes the connection", () => {
  const output = new Output();
  const settings = { limits: { maxBytes: 2048, maxHeaders: 20 }, scheme: "http", acceptHttp10: true, forwardTrailers: false, now: () => 0 } as const;
  const connection: Http1ServerConnection = new Http1ServerConnection(output, settings, {
    onRequest(_head, stream) {
      stream.sendHead({ status: 403, headers: new HeaderBlock(), hasBody: false }, true);
      return { onBody() {}, onEnd() {}, onAbort() {}, onWritable() {}, onComplete() {} };
    },
    onProblem() {},
    onLingering() {},
  });
  connection.onData(latin1(`POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\n`));
  connection.onData(latin1(`abcGET / HTTP/1.1\r\n${HOST}\r\n`));
  assert.equal(output.text, "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  assert.equal(output.state, "ended");
});

test("an upgrade passes raw bytes both ways, those sent ahead too", () => {
  const output = new Output();
  const seen: string[] = [];
  const settings = { limits: { maxBytes: 2048, maxHeaders: 20 }, scheme: "http", acceptHttp10: true, forwardTrailers: false, now: () => 0 } as const;
  let answer: ServerStream | undefined;
  const connection: Http1ServerConnection = new Http1ServerConnection(output, settings, {
    onRequest(head, stream) {
      seen.push(`upgrade ${head.upgrade ?? ""}`);
      answer = stream;
      return {
        onBody: (bytes, start, end) => seen.push(asText(bytes.subarray(start, end))),
        onEnd: () => seen.push("end"),
        onAbort() {},
        onWritable() {},
        onComplete() {},
      };
    },
    onProblem() {},
    onLingering() {},
  });
  connection.onData(latin1(`GET /chat HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nearly`));
  const headers = new HeaderBlock();
  headers.add(headerName("upgrade"), "websocket");
  answer?.sendHead({ status: 101, headers, hasBody: true }, false);
  connection.onData(latin1("late"));
  answer?.sendBody(latin1("down"), 0, 4);
  assert.deepEqual(seen, ["upgrade websocket", "end", "early", "late"]);
  assert.equal(output.text, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\ndown");
});
