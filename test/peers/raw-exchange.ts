/** Sends bytes as they are and reads what comes until the other side closes: what HTTP libraries would not send or show. */
import { connect } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";

export interface RawOptions {
  readonly port: number;
  /** Where to connect to, 127.0.0.1 unless told; and from. */
  readonly to?: string;
  readonly from?: string;
  /** Sent at once; several are sent one after the other, with a pause that lets each arrive alone. */
  readonly send: string | readonly string[];
  readonly tls?: ConnectionOptions;
  /** Half-closes after sending. */
  readonly end?: boolean;
  /** Resets the connection this long after sending, whatever came. */
  readonly resetAfterMs?: number;
  /** Gives up then: the other side neither closed nor said anything for so long. */
  readonly silenceMs?: number;
}

export interface RawAnswer {
  readonly text: string;
  /** How it ended. "silence": the other side keeps the connection, and waits. */
  readonly ended: "closed" | "reset" | "silence";
  /** Why TLS failed. */
  readonly error: string | undefined;
}

const SILENCE_MS = 10_000;
const PAUSE_MS = 40;

export function rawExchange({ port, to = "127.0.0.1", from, send, tls, end, resetAfterMs, silenceMs = SILENCE_MS }: RawOptions): Promise<RawAnswer> {
  return new Promise((resolve) => {
    let text = "";
    let ended: RawAnswer["ended"] = "closed";
    let error: string | undefined;
    const where = { port, host: to, ...(from === undefined ? {} : { localAddress: from }) };
    const socket = tls === undefined ? connect(where) : connectTls({ ...where, rejectUnauthorized: false, ...tls });
    const parts = typeof send === "string" ? [send] : [...send];
    const sendNext = (): void => {
      const part = parts.shift();
      if (part === undefined) {
        if (end === true) socket.end();
        if (resetAfterMs !== undefined) setTimeout(() => socket.resetAndDestroy(), resetAfterMs);
        return;
      }
      socket.write(part, "latin1", () => setTimeout(sendNext, parts.length > 0 ? PAUSE_MS : 0));
    };
    socket.once(tls === undefined ? "connect" : "secureConnect", () => {
      socket.setNoDelay();
      sendNext();
    });
    socket.setTimeout(silenceMs, () => {
      ended = "silence";
      socket.destroy();
    });
    socket.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")));
    socket.on("error", (problem: Error & { code?: string }) => {
      ended = "reset";
      error = problem.code ?? problem.message;
    });
    socket.on("close", () => resolve({ text, ended, error }));
  });
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The last response in the text; interim ones (1xx) are skipped. Several headers of one name are joined by "|". */
export function readAnswer(text: string): HttpAnswer {
  const [head = "", ...rest] = text.replace(/^(HTTP\/1\.1 1(?!01)\d\d [^\r]*\r\n(?:[^\r]+\r\n)*\r\n)+/, "").split("\r\n\r\n");
  const [line = "", ...lines] = head.split("\r\n");
  const headers: Record<string, string> = {};
  for (const one of lines) {
    const name = one.slice(0, one.indexOf(":")).toLowerCase();
    const value = one.slice(one.indexOf(":") + 1).trim();
    headers[name] = name in headers ? `${headers[name]}|${value}` : value;
  }
  const body = rest.join("\r\n\r\n");
  return {
    status: Number(/^HTTP\/1\.[01] (\d{3}) /.exec(`${line} `)?.[1] ?? 0),
    headers,
    body: headers["transfer-encoding"] === "chunked" ? unchunked(body) : body,
  };
}

/** Where chunks are cut is each proxy's own business. What is cut off in the middle is marked. */
function unchunked(body: string): string {
  let out = "";
  for (let rest = body; rest !== "";) {
    const end = rest.indexOf("\r\n");
    const size = Number.parseInt(rest.slice(0, end), 16);
    if (size === 0) return out;
    if (!(size > 0) || rest.length < end + 4 + size) return `${out}${rest.slice(end + 2)}(cut off)`;
    out += rest.slice(end + 2, end + 2 + size);
    rest = rest.slice(end + 4 + size);
  }
  return `${out}(cut off)`;
}
