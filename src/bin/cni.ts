/**
 * weft-cni: passes what the container runtime asks to the node's agent. Pods wait for it, so it loads nothing that it does
 * not need: Node's streams for stdin and stdout are a tenth of what it takes (docs/adr/0008), so both are plain files here.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { CNI_ERRORS, CniError, errorText, readRequest, resultText, versionText, type CniReply, type CniRequest } from "#wire/cni/cni.ts";

/** The agent may be restarting: the supervisor brings it back within 2 s. */
const CONNECT_FOR_MS = 15_000;
const RETRY_MS = 100;
const STDIN = 0;
const STDOUT = 1;

async function main(): Promise<void> {
  let request: CniRequest | undefined;
  try {
    request = readRequest(process.env, readFileSync(STDIN, "utf8"));
    const output = request.command === "VERSION" ? versionText() : await ask(request);
    if (output !== "") writeFileSync(STDOUT, `${output}\n`);
  } catch (error) {
    writeFileSync(STDOUT, `${errorText(error, request?.cniVersion)}\n`);
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

// Not awaited: Kubernetes' nodes run it as CommonJS, which loads faster.
void main();
