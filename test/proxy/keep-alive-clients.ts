/** Clients that keep their connections busy: each sends the next request when the last one is answered, without end. */
import { connect, type Socket } from "node:net";

/** What went wrong; a run without faults has none. */
export interface Clients {
  readonly faults: readonly string[];
  /** Answers per connection. */
  readonly answers: readonly number[];
  /** Highest number of the configuration (x-config) that an answer came from. */
  readonly newest: number;
  /** Which backends answered. */
  readonly backends: ReadonlySet<string>;
  /** Resolves when each has its last answer; then their connections are closed. */
  stop(): Promise<void>;
}

export function startClients(port: number, count: number): Clients {
  const faults: string[] = [];
  const answers = Array.from({ length: count }, () => 0);
  const backends = new Set<string>();
  const state = { newest: 0, stopping: false };
  const clients = answers.map((_, index) =>
    busy(port, {
      request: () => (state.stopping ? undefined : requestOf(index, answers[index] ?? 0)),
      answered: (status, header) => {
        answers[index] = (answers[index] ?? 0) + 1;
        if (status !== 200) faults.push(`connection ${index}, request ${answers[index]}: ${status} ${header("x-weft-why") ?? ""}`);
        const backend = header("x-backend");
        if (backend !== undefined) backends.add(backend);
        state.newest = Math.max(state.newest, Number(header("x-config") ?? 0));
      },
      broken: (why) => void faults.push(`connection ${index}, after ${answers[index]} answers: ${why}`),
    }),
  );
  return {
    faults,
    answers,
    backends,
    get newest() {
      return state.newest;
    },
    async stop() {
      state.stopping = true;
      await Promise.all(clients);
    },
  };
}

/** Bodies both ways, by length and by chunks; the answer's size is asked for by the path. */
function requestOf(index: number, nth: number): string {
  const path = `/${(index * 37 + nth * 101) % 3000}`;
  const head = `${nth % 3 === 0 ? "GET" : "POST"} ${path} HTTP/1.1\r\nhost: shop.example.org\r\n`;
  if (nth % 3 === 0) return `${head}\r\n`;
  if (nth % 3 === 1) return `${head}content-length: 7\r\n\r\nrequest`;
  return `${head}transfer-encoding: chunked\r\n\r\n7\r\nrequest\r\n0\r\n\r\n`;
}

interface Course {
  /** undefined: no more. */
  request(): string | undefined;
  answered(status: number, header: (name: string) => string | undefined): void;
  broken(why: string): void;
}

function busy(port: number, course: Course): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let text = "";
    let isOver = false;
    const over = (why?: string): void => {
      if (isOver) return;
      isOver = true;
      if (why !== undefined) course.broken(why);
      socket.destroy();
      resolve();
    };
    socket.setEncoding("latin1");
    socket.on("connect", () => send(socket, course, over));
    socket.on("error", (error) => over(error.message));
    socket.on("close", () => over("closed"));
    socket.on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = text.slice(0, end);
      const header = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1];
      if (header("connection") === "close") return over(`told to close: ${head}`);
      const whole = end + 4 + Number(header("content-length") ?? 0);
      if (text.length < whole) return;
      if (text.length > whole) return over(`more than the answer: ${JSON.stringify(text.slice(whole, whole + 100))}`);
      text = "";
      course.answered(Number(head.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length)), header);
      send(socket, course, over);
    });
  });
}

function send(socket: Socket, course: Course, over: () => void): void {
  const request = course.request();
  if (request === undefined) over();
  else socket.write(request, "latin1");
}
