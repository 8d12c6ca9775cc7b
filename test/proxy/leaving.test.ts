/** A proxy that is about to end goes on serving, and has its clients connect anew, elsewhere, before it does. */
import assert from "node:assert/strict";
import { Agent, createServer, get } from "node:http";
import { test } from "node:test";
import { listening, startHops } from "./hops.ts";

interface Answer {
  readonly status: number | undefined;
  readonly connection: string | undefined;
  /** It came by a connection that had been used before. */
  readonly kept: boolean;
}

test("answers of a proxy that leaves close connections that are kept, and who connects anew is served", async () => {
  const backend = createServer((_, response) => void response.end("here"));
  const hops = await startHops("plain", await listening(backend));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = get({ port: hops.port, agent }, (response) => {
        const { statusCode: status, headers } = response;
        response.resume().on("end", () => resolve({ status, connection: headers.connection, kept: request.reusedSocket }));
      }).on("error", reject);
    });
  try {
    const [first, second] = [await ask(), await ask()];
    assert.deepEqual([first.status, first.kept, second.kept], [200, false, true]);
    assert.notEqual(second.connection, "close");
    hops.leave();
    assert.deepEqual(await ask(), { status: 200, connection: "close", kept: true });
    assert.deepEqual(await ask(), { status: 200, connection: "close", kept: false });
  } finally {
    agent.destroy();
    await hops.stop();
    backend.close();
  }
});
