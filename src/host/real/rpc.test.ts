import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { contractPki } from "#host/contract/rpc-pki.ts";
import { rpcContract } from "#host/contract/rpc.ts";
import { realRpc } from "./rpc.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-rpc-"));
after(() => rmSync(folder, { recursive: true }));

let sockets = 0;
const pki = await contractPki();
rpcContract(() => ({
  rpc: realRpc(),
  unixAddress: () => ({ path: join(folder, `${sockets++}.sock`) }),
  abstractAddress: () => ({ path: `@${join(folder, `${sockets++}`)}` }),
  tcpAddress: () => ({ ip: "127.0.0.1", port: 0 }),
  pki,
  async until(done) {
    for (const end = Date.now() + 10_000; !done();) {
      if (Date.now() > end) throw new Error("nothing happened for 10 s");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  },
}));
