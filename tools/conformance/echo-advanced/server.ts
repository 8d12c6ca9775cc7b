/**
 * What the mesh tests of Gateway API's conformance suite run in their pods, in place of an image that cannot be had here: it answers with what it
 * was asked, line by line, in the words that the suite reads. HTTP and TCP alone: nothing else is asked of it.
 */
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { hostname } from "node:os";

const flags = process.argv.slice(2).flatMap((word) => {
  const found = /^--([a-z]+)=(.*)$/.exec(word);
  return found === null ? [] : [[found[1] ?? "", found[2] ?? ""] as const];
});
const ports = (flag: string): readonly number[] => flags.filter(([name]) => name === flag).map(([, value]) => Number(value));
const tls = new Set(ports("tls"));

/** Asked for none, it has the usual one: it must stay for those who start the client in its pod. */
const http = ports("port").length === 0 ? [8080] : ports("port").filter((each) => !tls.has(each));

for (const port of http) {
  createServer((request, response) => {
    const { rawHeaders } = request;
    const headers = rawHeaders.flatMap((name, i) => (i % 2 === 0 && name.toLowerCase() !== "host" ? [`RequestHeader=${name}:${rawHeaders[i + 1] ?? ""}`] : []));
    const lines = [
      `ServiceVersion=`,
      `ServicePort=${port}`,
      `Host=${request.headers.host ?? ""}`,
      `URL=${request.url ?? ""}`,
      `Method=${request.method ?? ""}`,
      `Proto=HTTP/${request.httpVersion}`,
      `IP=${request.socket.remoteAddress ?? ""}`,
      ...headers,
      `Hostname=${hostname()}`,
    ];
    response.writeHead(200, { "content-type": "text/plain" }).end(`${lines.join("\n")}\n`);
  }).listen(port);
}

for (const port of ports("tcp")) {
  createTcpServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", () => socket.end(`StatusCode=200\nServicePort=${port}\nHostname=${hostname()}\n`));
  }).listen(port);
}

for (const [name, value] of flags.filter(([flag]) => flag === "grpc" || flag === "tls")) console.log(`--${name}=${value} is not served: no test asks for it`);
process.on("SIGTERM", () => process.exit(0));
