/**
 * Lets this process reach an address that only another network namespace reaches: a port of this machine whose connections go on
 * from there. The listening socket is made here and handed to a process that was started there; a socket stays in the
 * network that it was made in.
 */
import { spawn } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

export interface Relay {
  /** On 127.0.0.1. */
  readonly port: number;
  stop(): void;
}

export async function startRelay(netns: string, destination: { readonly host: string; readonly port: number }): Promise<Relay> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const program = fileURLToPath(new URL("./relay-process.ts", import.meta.url));
  const child = spawn("nsenter", [`--net=${netns}`, process.execPath, program, destination.host, String(destination.port)], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.send("listen", server, (error) => (error === null ? resolve() : reject(error)));
  });
  // Its own copy answers from now on.
  server.close();
  child.unref();
  child.channel?.unref();
  return { port, stop: () => child.kill("SIGKILL") };
}
