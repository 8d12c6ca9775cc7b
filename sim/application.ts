/** Applications of a scenario: a service that says who it is, and a client that sends one request a connection or keeps it. */
import type { Connection, Net } from "#host/net.ts";

/** Answers every request with what `answer` gives, as HTTP/1.1 with keep-alive. */
export async function serveText(net: Net, options: { readonly netns: string; readonly port: number; readonly answer: () => string }): Promise<void> {
  const { netns, port, answer } = options;
  await net.listen({ address: { ip: "0.0.0.0", port }, netns }, (connection) => {
    let text = "";
    connection.handle({
      onData(bytes) {
        text += Buffer.from(bytes).toString("latin1");
        for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
          text = text.slice(end + 4);
          const body = answer();
          connection.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
        }
      },
      onEnd: () => connection.end(),
      onClose: () => undefined,
    });
  });
}

export interface Answer {
  /** 0: none came. */
  readonly status: number;
  readonly body: string;
}

/** A keep-alive connection of a client in a pod: one request at a time. */
export class TextClient {
  readonly #connection: Connection;
  #text = "";
  #waiting: ((answer: Answer) => void) | undefined;
  /** Set when the connection ended, in whatever way. */
  closed: string | undefined;

  constructor(net: Net, options: { readonly netns: string; readonly ip: string; readonly port: number }) {
    this.#connection = net.connect(
      { address: { ip: options.ip, port: options.port }, netns: options.netns, timeoutMs: 5_000 },
      {
        onData: (bytes) => this.#received(Buffer.from(bytes).toString("latin1")),
        onEnd: () => this.#connection.end(),
        onClose: (error) => {
          this.closed = error?.code ?? "closed";
          this.#answer({ status: 0, body: this.closed });
        },
      },
    );
  }

  get(path: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
    if (this.closed !== undefined) return Promise.resolve({ status: 0, body: this.closed });
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#connection.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  #received(text: string): void {
    this.#text += text;
    const head = this.#text.indexOf("\r\n\r\n");
    if (head < 0) return;
    const length = Number(/\r\ncontent-length: *([0-9]+)/i.exec(this.#text.slice(0, head))?.[1] ?? 0);
    if (this.#text.length < head + 4 + length) return;
    const answer = { status: Number(this.#text.slice(9, 12)), body: this.#text.slice(head + 4, head + 4 + length) };
    this.#text = this.#text.slice(head + 4 + length);
    this.#answer(answer);
  }

  #answer(answer: Answer): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(answer);
  }

  close(): void {
    this.#connection.end();
  }
}
