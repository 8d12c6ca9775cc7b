/** Started by relay.ts in another network namespace: what is accepted at the socket that it is handed goes to HOST PORT from here. */
import { connect, Server, type Socket } from "node:net";

const [host = "", port = ""] = process.argv.slice(2);

process.on("message", (_message, server) => {
  if (server instanceof Server) server.on("connection", forward);
});
process.on("disconnect", () => process.exit());

function forward(from: Socket): void {
  const to = connect({ host, port: Number(port), noDelay: true });
  from.setNoDelay();
  from.pipe(to).pipe(from);
  for (const [one, other] of [
    [from, to],
    [to, from],
  ] as const) {
    one.on("error", () => other.resetAndDestroy());
  }
}
