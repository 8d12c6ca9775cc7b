/** Reads a page of a proxy's admin server on its Unix socket. */
import { request } from "node:http";

export function adminPage(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (bytes: Buffer) => chunks.push(bytes));
      response.on("end", () => resolve(Buffer.concat(chunks).toString()));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}
