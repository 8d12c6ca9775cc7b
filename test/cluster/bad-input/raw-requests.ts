/**
 * `node raw-requests.ts plain|tls HOST PORT`: sends each of the malformed requests over a connection of its own and prints
 * what came back, as JSON. Run inside the network of a pod or a node.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface RawAnswer {
  readonly answer: string;
  /** "closed", the code of an error, or "nothing happened". */
  readonly ended: string;
}

/** By what is wrong with them. */
export const malformed: Readonly<Record<string, string>> = {
  "no request line": "GARBAGE\r\n\r\n",
  "two lengths that smugglers use": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "a bare line feed": "GET / HTTP/1.1\nHost: a\n\n",
  "a NUL in a header": "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
  "a folded header": "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
  "a chunk size that is none": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  "a header without end": `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(200_000)}`,
};

const PATIENCE_MS = 10_000;

/** In the order of `malformed`. */
export function sendMalformed(how: string, host: string, port: number): Promise<readonly RawAnswer[]> {
  return Promise.all(Object.values(malformed).map((text) => sendRaw(how, host, port, Buffer.from(text, "latin1"))));
}

function sendRaw(how: string, host: string, port: number, bytes: Buffer): Promise<RawAnswer> {
  const socket: Socket = how === "tls" ? connectTls({ host, port, rejectUnauthorized: false }) : connect(port, host);
  let answer = "";
  let ended = "closed";
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      ended = "nothing happened";
      socket.destroy();
    }, PATIENCE_MS);
    socket.on(how === "tls" ? "secureConnect" : "connect", () => socket.write(bytes));
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("error", (error: Error & { code?: string }) => (ended = error.code ?? error.message));
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      clearTimeout(timer);
      resolve({ answer: answer.slice(0, 2000), ended });
    });
  });
}

if (import.meta.main) {
  const [how = "plain", host = "", port = ""] = process.argv.slice(2);
  process.stdout.write(JSON.stringify(await sendMalformed(how, host, Number(port))));
}
