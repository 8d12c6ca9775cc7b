/**
 * What runs in each pod of the differential test. It answers on HTTP (8080), TCP (9000) and UDP (5300) with the name of its
 * pod, and calls others when it is told to (7000, which sidecars leave alone). `prober.mts relay` passes orders on from
 * the standard input of a process in a node's network to pods of that node, or carries them out itself.
 */
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer, request } from "node:http";
import { connect, createServer as createTcpServer, type Socket } from "node:net";
import { createInterface } from "node:readline";

const CONTROL_PORT = 7000;
const UDP_AGAIN_MS = 400;

interface Probe {
  readonly id: number;
  readonly protocol: "http" | "tcp" | "udp";
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

interface Seen {
  readonly id: number;
  /** "answer": somebody said something; else what became of the attempt. */
  readonly outcome: "answer" | "refused" | "closed" | "no answer" | "no such name";
  readonly status?: number;
  /** Name of the pod that answered. */
  readonly server?: string;
  /** x-weft-why. */
  readonly why?: string;
  readonly body?: string;
}

const OUTCOMES: Readonly<Record<string, Seen["outcome"]>> = {
  ECONNREFUSED: "refused",
  ENOTFOUND: "no such name",
  EAI_AGAIN: "no such name",
  ETIMEDOUT: "no answer",
};

function failed(id: number, error: unknown): Seen {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return { id, outcome: OUTCOMES[code] ?? "closed" };
}

function probe(order: Probe): Promise<Seen> {
  return new Promise((resolve) => {
    const end = order.protocol === "http" ? probeHttp : order.protocol === "tcp" ? probeTcp : probeUdp;
    const stop = end(order, (seen) => {
      clearTimeout(timer);
      stop();
      resolve(seen);
    });
    const timer = setTimeout(() => {
      stop();
      resolve({ id: order.id, outcome: "no answer" });
    }, order.timeoutMs);
  });
}

type Ask = (order: Probe, done: (seen: Seen) => void) => () => void;

const probeHttp: Ask = ({ id, host, port, method, path, headers }, done) => {
  const asked = request({ host, port, method, path, headers, agent: false }, (response) => {
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (text: string) => (body += text));
    response.on("end", () => {
      const { "x-weft-why": why, "x-served-by": server } = response.headers;
      const told = { ...(typeof why === "string" ? { why } : {}), ...(typeof server === "string" ? { server } : {}) };
      done({ id, outcome: "answer", status: response.statusCode ?? 0, body: body.slice(0, 400), ...told });
    });
    response.on("error", (error) => done(failed(id, error)));
  });
  asked.on("error", (error) => done(failed(id, error)));
  asked.end();
  return () => asked.destroy();
};

const probeTcp: Ask = ({ id, host, port }, done) => {
  const socket = connect({ host, port });
  socket.on("connect", () => socket.write("who\n"));
  socket.on("data", (bytes) => done({ id, outcome: "answer", server: bytes.toString().trim() }));
  socket.on("error", (error) => done(failed(id, error)));
  socket.on("close", () => done({ id, outcome: "closed" }));
  return () => socket.destroy();
};

const probeUdp: Ask = ({ id, host, port }, done) => {
  const socket = createSocket("udp4");
  let again: NodeJS.Timeout | undefined;
  let closed = false;
  const say = (): void => {
    if (!closed) socket.send("who", (error) => error !== null && done(failed(id, error)));
  };
  socket.on("message", (bytes) => done({ id, outcome: "answer", server: bytes.toString() }));
  socket.on("error", (error) => done(failed(id, error)));
  socket.connect(port, host, (error?: Error) => {
    if (error !== undefined) return done(failed(id, error));
    say();
    if (!closed) again = setInterval(say, UDP_AGAIN_MS);
  });
  return () => {
    clearInterval(again);
    if (!closed) socket.close();
    closed = true;
  };
};

/** The proxy's own account of its configuration, as its neighbour in the pod may read it. */
function adminPage(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port: 15_000, path, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => (body += text));
      response.on("end", () => resolve(body));
    });
    asked.on("error", reject);
    asked.end();
  });
}

/** Names of the chains of a table of nftables, in the network that this process is in. */
function chainsOf(table: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    execFile("nft", ["list", "table", "ip", table], { maxBuffer: 1 << 26 }, (error, stdout) => {
      if (error === null) resolve([...stdout.matchAll(/^\tchain (\S+) \{/gm)].map(([, name]) => (name ?? "").replaceAll('"', "")));
      else reject(error);
    });
  });
}

/** Forgets what connections there are: what goes on along an old one is then judged anew, as a new one would be. */
function forgetConnections(): Promise<boolean> {
  return new Promise((resolve, reject) => {
    execFile("conntrack", ["-F"], (error) => (error === null ? resolve(true) : reject(error)));
  });
}

interface Order {
  readonly forget?: true;
  readonly probes?: readonly Probe[];
  readonly admin?: string;
  readonly chains?: string;
}

async function carryOut({ probes = [], admin, chains, forget }: Order): Promise<unknown> {
  if (forget === true) return forgetConnections();
  if (chains !== undefined) return chainsOf(chains);
  if (admin !== undefined) return adminPage(admin).catch((error: unknown) => ({ error: String(error) }));
  return Promise.all(probes.map(probe));
}

function serve(): void {
  const name = process.env["HOSTNAME"] ?? "?";
  createServer((asked, answer) => {
    asked.resume();
    answer.setHeader("x-served-by", name);
    answer.end(`${JSON.stringify({ method: asked.method, path: asked.url, headers: asked.headers })}\n`);
  }).listen(8080);
  const answerLine = (socket: Socket): void => {
    socket.on("data", () => socket.write(`${name}\n`));
    socket.on("error", () => socket.destroy());
  };
  createTcpServer(answerLine).listen(9000);
  const udp = createSocket("udp4");
  udp.on("message", (_bytes, from) => udp.send(name, from.port, from.address));
  udp.bind(5300);
  createTcpServer((socket) => {
    createInterface({ input: socket }).on("line", (line) => {
      void carryOut(JSON.parse(line) as Order).then((result) => socket.end(`${JSON.stringify(result)}\n`));
    });
    socket.on("error", () => socket.destroy());
  }).listen(CONTROL_PORT);
}

/** One line of JSON in, `{id, pod?, order}`; one line out, `{id, result}` or `{id, error}`. */
function relay(): void {
  createInterface({ input: process.stdin }).on("line", (line) => {
    const { id, pod, order } = JSON.parse(line) as { id: number; pod?: string; order: Order };
    const result = pod === undefined ? carryOut(order) : passOn(pod, order);
    void result.then(
      (value) => process.stdout.write(`${JSON.stringify({ id, result: value })}\n`),
      (error: unknown) => process.stdout.write(`${JSON.stringify({ id, error: String(error) })}\n`),
    );
  });
}

function passOn(pod: string, order: Order): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: pod, port: CONTROL_PORT });
    let text = "";
    socket.on("connect", () => socket.write(`${JSON.stringify(order)}\n`));
    socket.on("data", (bytes) => (text += bytes.toString()));
    socket.on("error", reject);
    socket.on("close", () => (text === "" ? reject(new Error(`${pod} said nothing`)) : resolve(JSON.parse(text))));
  });
}

if (process.argv[2] === "relay") relay();
else serve();
