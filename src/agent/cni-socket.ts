/** The Unix socket of the CNI plugin: one line of JSON in, one out, then it closes. */
import type { Host } from "#host/host.ts";
import type { CniReply, CniRequest } from "#wire/cni/cni.ts";

/** A GC request lists every pod of the node. */
const MAX_REQUEST_BYTES = 1 << 20;

export async function serveCni(
  host: Pick<Host, "net" | "files">,
  path: string,
  handle: (request: CniRequest) => Promise<CniReply>,
): Promise<{ stop(): Promise<void> }> {
  // What an agent that was killed left behind.
  await host.files.remove(path);
  const listener = await host.net.listen({ address: { path }, mode: 0o600 }, (connection) => {
    let text = "";
    const decoder = new TextDecoder();
    connection.handle({
      onData(bytes) {
        text += decoder.decode(bytes, { stream: true });
        if (text.length > MAX_REQUEST_BYTES) return connection.destroy();
        if (!text.endsWith("\n")) return;
        const request = JSON.parse(text) as CniRequest;
        void handle(request).then((reply) => {
          connection.write(`${JSON.stringify(reply)}\n`);
          connection.end();
        });
      },
      onEnd() {
        if (!text.endsWith("\n")) connection.end();
      },
      onClose() {},
    });
  });
  return { stop: () => listener.close() };
}
