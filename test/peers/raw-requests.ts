/** Requests as attackers and broken clients send them: a list by hand, and seeded mutations of good ones. */
import fc from "fast-check";

export interface RawRequest {
  readonly name: string;
  readonly bytes: string;
}

/** Follows what is tested on the same connection: whether it is answered, and as what, shows where the first one ended. */
export const SENTINEL = "GET /sentinel HTTP/1.1\r\nhost: any.test\r\nconnection: close\r\n\r\n";

const post = (headers: string, body = ""): string => `POST /p HTTP/1.1\r\nHost: any.test\r\n${headers}\r\n${body}`;
const get = (headers: string): string => `GET /g HTTP/1.1\r\nHost: any.test\r\n${headers}\r\n`;
const chunked = (body: string, headers = ""): string => post(`Transfer-Encoding: chunked\r\n${headers}`, body);

const FRAMING: Readonly<Record<string, string>> = {
  "length and chunked": post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
  "chunked and length": post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
  "two equal lengths": post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
  "two lengths": post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
  "lengths in a list": post("Content-Length: 5, 5\r\n", "hello"),
  "signed length": post("Content-Length: +5\r\n", "hello"),
  "negative length": post("Content-Length: -5\r\n", "hello"),
  "length in hexadecimal": post("Content-Length: 0x5\r\n", "hello"),
  "length with a space inside": post("Content-Length: 5 5\r\n", "hello"),
  "length with letters": post("Content-Length: 5a\r\n", "hello"),
  "empty length": post("Content-Length: \r\n", "hello"),
  "huge length": post("Content-Length: 99999999999999999999999\r\n", "hello"),
  "length with zeros before": post("Content-Length: 0005\r\n", "hello"),
  "length with tabs around": post("Content-Length:\t5\t\r\n", "hello"),
  "length of a GET": "GET /g HTTP/1.1\r\nHost: any.test\r\nContent-Length: 5\r\n\r\nhello",
  "chunked twice": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
  "chunked, chunked": post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
  "chunked, identity": post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
  identity: post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello"),
  "gzip, chunked": post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
  xchunked: post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
  "chunked with a tab before": post("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"),
  "chunked with a vertical tab": post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
  "quoted chunked": post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n"),
  "empty encoding": post("Transfer-Encoding: \r\n", "0\r\n\r\n"),
  "upper-case chunked": post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"),
  "chunked with a parameter": post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"),
  "encoding in HTTP/1.0": "POST /p HTTP/1.0\r\nHost: any.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "underscore instead of dash": post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
  "encoding after a fold": post("X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
};

const CHUNKS: Readonly<Record<string, string>> = {
  "size in upper case": chunked("A\r\n0123456789\r\n0\r\n\r\n"),
  "size with zeros before": chunked("0005\r\nhello\r\n0\r\n\r\n"),
  "size with a sign": chunked("+5\r\nhello\r\n0\r\n\r\n"),
  "size with 0x": chunked("0x5\r\nhello\r\n0\r\n\r\n"),
  "size with a space before": chunked(" 5\r\nhello\r\n0\r\n\r\n"),
  "size with a space after": chunked("5 \r\nhello\r\n0\r\n\r\n"),
  "size too large": chunked("fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
  "size that is none": chunked("zz\r\nhello\r\n0\r\n\r\n"),
  "no size": chunked("\r\nhello\r\n0\r\n\r\n"),
  "size that is too small": chunked("3\r\nhello\r\n0\r\n\r\n"),
  "size that is too large": chunked("7\r\nhello\r\n0\r\n\r\n"),
  "LF after the size": chunked("5\nhello\r\n0\r\n\r\n"),
  "LF after the data": chunked("5\r\nhello\n0\r\n\r\n"),
  "CR after the size": chunked("5\rhello\r\n0\r\n\r\n"),
  extension: chunked("5;a=b\r\nhello\r\n0;c\r\n\r\n"),
  "quoted extension": chunked('5;a="b;c"\r\nhello\r\n0\r\n\r\n'),
  "extension with a line break inside quotes": chunked('5;a="\r\nhello\r\n0\r\n\r\n'),
  "extension with LF": chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"),
  "extension with a NUL": chunked("5;a\0b\r\nhello\r\n0\r\n\r\n"),
  "large extension": chunked(`5;${"a".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`),
  trailer: chunked("5\r\nhello\r\n0\r\nX-Trailer: a\r\n\r\n"),
  "trailer that frames": chunked("5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"),
  "trailer without colon": chunked("5\r\nhello\r\n0\r\nnonsense\r\n\r\n"),
  "trailer with a space in its name": chunked("5\r\nhello\r\n0\r\nx y: a\r\n\r\n"),
  "LF ends the trailers": chunked("5\r\nhello\r\n0\r\n\n"),
};

const HEADERS: Readonly<Record<string, string>> = {
  "space before colon": get("X-A : b\r\n"),
  "tab before colon": get("X-A\t: b\r\n"),
  "no colon": get("nonsense\r\n"),
  "no name": get(": b\r\n"),
  "folded value": get("X-A: b\r\n c\r\n"),
  "fold before the first header": "GET /g HTTP/1.1\r\n Host: any.test\r\n\r\n",
  "NUL in a value": get("X-A: b\0c\r\n"),
  "control character in a value": get("X-A: b\x01c\r\n"),
  "DEL in a value": get("X-A: b\x7fc\r\n"),
  "tab in a value": get("X-A: b\tc\r\n"),
  "CR in a value": get("X-A: b\rc\r\n"),
  "LF in a value": get("X-A: b\nX-B: c\r\n"),
  "high octets in a value": get("X-A: \xc3\xa9\xff\r\n"),
  "high octets in a name": get("X-\xc3\xa9: a\r\n"),
  "control character in a name": get("X\x01A: b\r\n"),
  "NUL in a name": get("X\0A: b\r\n"),
  "bracket in a name": get("X[A]: b\r\n"),
  "at sign in a name": get("X@A: b\r\n"),
  "underscore in a name": get("X_A: b\r\n"),
  "LF ends lines": "GET /g HTTP/1.1\nHost: any.test\n\n",
  "LF ends one line": "GET /g HTTP/1.1\r\nHost: any.test\nX-A: b\r\n\r\n",
  "LF ends the head": "GET /g HTTP/1.1\r\nHost: any.test\r\n\n",
  "CR CR LF": get("X-A: b\r\r\n"),
  "many headers": get("a: b\r\n".repeat(120)),
  "large header": get(`a: ${"b".repeat(70_000)}\r\n`),
  "long name": get(`${"a".repeat(70_000)}: b\r\n`),
  "empty value": get("X-A:\r\n"),
};

const HOSTS: Readonly<Record<string, string>> = {
  "no host": "GET /g HTTP/1.1\r\n\r\n",
  "two hosts": "GET /g HTTP/1.1\r\nHost: any.test\r\nHost: other.test\r\n\r\n",
  "two equal hosts": "GET /g HTTP/1.1\r\nHost: any.test\r\nHost: any.test\r\n\r\n",
  "empty host": "GET /g HTTP/1.1\r\nHost: \r\n\r\n",
  "host with a slash": "GET /g HTTP/1.1\r\nHost: any.test/x\r\n\r\n",
  "host with a space": "GET /g HTTP/1.1\r\nHost: any test\r\n\r\n",
  "host with userinfo": "GET /g HTTP/1.1\r\nHost: a@any.test\r\n\r\n",
  "host list": "GET /g HTTP/1.1\r\nHost: any.test, other.test\r\n\r\n",
  "host with a bad port": "GET /g HTTP/1.1\r\nHost: any.test:port\r\n\r\n",
  "host with high octets": "GET /g HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n",
};

const LINES: Readonly<Record<string, string>> = {
  "no version": "GET /g\r\nHost: any.test\r\n\r\n",
  "HTTP/0.9": "GET /g\r\n",
  "HTTP/1.0": "GET /g HTTP/1.0\r\nHost: any.test\r\n\r\n",
  "HTTP/1.2": "GET /g HTTP/1.2\r\nHost: any.test\r\n\r\n",
  "HTTP/2.0": "GET /g HTTP/2.0\r\nHost: any.test\r\n\r\n",
  "HTTP/1.10": "GET /g HTTP/1.10\r\nHost: any.test\r\n\r\n",
  "lower-case version": "GET /g http/1.1\r\nHost: any.test\r\n\r\n",
  "HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "two spaces": "GET  /g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "two spaces before the version": "GET /g  HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "tab instead of a space": "GET\t/g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "space at the end": "GET /g HTTP/1.1 \r\nHost: any.test\r\n\r\n",
  "space at the start": " GET /g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "empty line first": "\r\nGET /g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "LF first": "\nGET /g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "space in the path": "GET /a b HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "control character in the path": "GET /a\x01b HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "NUL in the path": "GET /a\0b HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "high octets in the path": "GET /\xc3\xa9 HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "quotes in the path": 'GET /"<>\\^`{|} HTTP/1.1\r\nHost: any.test\r\n\r\n',
  "path without a slash": "GET g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "no path": "GET HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "absolute form of another host": "GET http://other.test/g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "absolute form without host": "GET http:///g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "absolute form with userinfo": "GET http://a:b@other.test/g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "absolute form of another scheme": "GET ftp://other.test/g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "absolute form with a bad port": "GET http://other.test:99999/g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "asterisk with GET": "GET * HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "CONNECT with a path": "CONNECT /g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "CONNECT without a port": "CONNECT any.test HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "method in lower case": "get /g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "method that nobody knows": "FOO /g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "method with a bad character": "G(T /g HTTP/1.1\r\nHost: any.test\r\n\r\n",
  "a TLS ClientHello": "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
  "an SSH banner": "SSH-2.0-OpenSSH_9.2\r\n",
  "binary rubbish": "\x00\xff\xfe\x80\x01\x02\r\n\r\n",
  "only line breaks": "\r\n\r\n\r\n",
  "long path": `GET /${"a".repeat(70_000)} HTTP/1.1\r\nHost: any.test\r\n\r\n`,
  "upgrade to h2c": get("Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
  "connection names host": get("Connection: host, x-a\r\nX-A: b\r\n"),
  "expect something else": post("Expect: 200-ok\r\nContent-Length: 5\r\n", "hello"),
};

export const BY_HAND: readonly RawRequest[] = Object.entries({ ...FRAMING, ...CHUNKS, ...HEADERS, ...HOSTS, ...LINES }).map(([name, bytes]) => ({
  name,
  bytes,
}));

const GOOD = [
  "GET /g HTTP/1.1\r\nHost: any.test\r\nAccept: */*\r\n\r\n",
  "POST /p HTTP/1.1\r\nHost: any.test\r\nContent-Length: 11\r\n\r\nhello world",
  "POST /p HTTP/1.1\r\nHost: any.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
  "HEAD /h?a=b HTTP/1.1\r\nHost: any.test:80\r\nX-A: b, c\r\n\r\n",
];

const PIECES = (
  '\r|\n|\r\n|\0|\t| |:|;|,|"|\\|\x7f|\xff|0|5|a|chunked|Content-Length: 5\r\n|Transfer-Encoding: chunked\r\n|Host: b\r\n|HTTP/1.1|HTTP/1.0|/|//|..|%00|#|?|*|\r\n |\r\n\r\n|' +
  "0\r\n\r\n|GET /smuggled HTTP/1.1\r\nHost: any.test\r\n\r\n|Connection: close\r\n|Expect: 100-continue\r\n|\x0b|\x0c|\x85|[|]|@|(|-|+|=|_"
).split("|");

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  remove: fc.nat({ max: 3 }),
  piece: fc.constantFrom(...PIECES, ""),
});

const mutated = fc.tuple(fc.constantFrom(...GOOD), fc.array(edit, { minLength: 1, maxLength: 3 })).map(([good, edits]) =>
  edits.reduce((text, { at, remove, piece }) => {
    const from = Math.floor(at * text.length);
    return text.slice(0, from) + piece + text.slice(from + remove);
  }, good),
);

export function mutations(count: number, seed: number): readonly RawRequest[] {
  return fc.sample(mutated, { numRuns: count, seed }).map((bytes, i) => ({ name: `mutation ${i}`, bytes }));
}
