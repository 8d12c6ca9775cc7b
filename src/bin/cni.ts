/** weft-cni: passes what the container runtime asks to the node's agent. Loads nothing that it does not need: pods wait for it. */
import { connect } from "node:net";
import { CNI_ERRORS, CniError, errorText, readRequest, resultText, versionText, type CniReply, type CniRequest } from "#wire/cni/cni.ts";

/** The agent may be restarting: the supervisor brings it back within 2 s. */
const CONNECT_FOR_MS = 15_000;
const RETRY_MS = 100;

async function main(): Promise<void> {
  let request: CniRequest | undefined;
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    request = readRequest(process.env, Buffer.concat(chunks).toString("utf8"));
    const output = request.command === "VERSION" ? versionText() : await ask(request);
    if (output !== "") process.stdout.write(`${output}\n`);
  } catch (error) {
    process.stdout.write(`${errorText(error, request?.cniVersion)}\n`);
    process.exitCode = 1;
  }
}

async function ask(request: CniRequest): Promise<string> {
  const until = Date.now() + CONNECT_FOR_MS;
  for (;;) {
    try {
      const reply = await exchange(request);
      if (reply.error !== undefined) throw new CniError(reply.error.code, reply.error.message, reply.error.details);
      return reply.result === undefined ? "" : resultText(reply.result, request.cniVersion);
    } catch (error) {
      if (error instanceof CniError) throw error;
      // STATUS asks whether the node can take pods now.
      if (request.command === "STATUS" || Date.now() > until)
        throw new CniError(CNI_ERRORS.notAvailable, `the node's agent does not answer at ${request.socket}; is it running?`, String(error));
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function exchange(request: CniRequest): Promise<CniReply> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(request.socket, () => socket.write(`${JSON.stringify(request)}\n`));
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (text += chunk));
    socket.on("error", reject);
    socket.on("close", () => {
      if (text.endsWith("\n")) resolve(JSON.parse(text) as CniReply);
      else reject(new Error("the agent closed the connection without an answer"));
    });
  });
}

await main();
