/**
 * exec over a WebSocket, in Kubernetes' remote command protocol (v4 and v5): each message begins with the number of its
 * channel. v5 adds one that closes another, so that a command reading its input to the end gets there.
 */
import type { HttpUpgrade, WebSocketConnection } from "#host/http.ts";
import type { ChildProcess, Processes } from "#host/processes.ts";
import type { ReadyCommand } from "#pods/container-access.ts";

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const RESIZE = 4;
const CLOSE = 255;

const protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
const firstTerminal = { columns: 80, rows: 24, controlling: false } as const;

export interface ExecRequest {
  readonly command: readonly string[];
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

export function parseExecQuery(query: URLSearchParams): ExecRequest {
  // The API server's words (stdin ...) and kubelet's own (input ...).
  const is = (...names: string[]): boolean => names.some((name) => ["1", "true"].includes(query.get(name) ?? ""));
  return { command: query.getAll("command"), stdin: is("stdin", "input"), stdout: is("stdout", "output"), stderr: is("stderr", "error"), tty: is("tty") };
}

/** `ready` is the argv that runs the command in its container. */
export function serveExec(processes: Processes, upgrade: HttpUpgrade, request: ExecRequest, ready: ReadyCommand): void {
  const protocol = protocols.find((each) => upgrade.protocols.includes(each));
  if (protocol === undefined) {
    upgrade.refuse(
      400,
      { "content-type": "text/plain" },
      `exec speaks ${protocols.join(" and ")}; the client offered ${upgrade.protocols.join(", ") || "none"}\n`,
    );
    return;
  }
  let child: ChildProcess | undefined;
  const connection: WebSocketConnection = upgrade.accept(protocol, {
    onMessage(bytes) {
      const channel = bytes[0];
      const payload = bytes.subarray(1);
      if (channel === STDIN && request.stdin) child?.writeStdin(payload);
      else if (channel === RESIZE) resize(child, payload);
      else if (channel === CLOSE && payload[0] === STDIN) child?.endStdin();
    },
    onClose() {
      child?.kill("SIGKILL");
    },
  });
  const send = (channel: number, wanted: boolean) => (bytes: Uint8Array) => {
    if (wanted) connection.send(frame(channel, bytes));
  };
  child = processes.spawn({
    ...ready,
    output: { onStdout: send(STDOUT, request.stdout), onStderr: send(request.tty ? STDOUT : STDERR, request.stderr || request.tty) },
    stdin: request.stdin ? "pipe" : "ignore",
    ...(request.tty ? { terminal: firstTerminal } : {}),
    onExit({ code }) {
      child = undefined;
      connection.send(frame(ERROR, Buffer.from(JSON.stringify(exitStatus(code ?? 137)))));
      connection.close(1000);
    },
  });
}

/** A metav1.Status: kubectl takes the exit status from details.causes. */
export function exitStatus(code: number): unknown {
  if (code === 0) return { metadata: {}, status: "Success" };
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: exit status ${code}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(code) }] },
    code: 500,
  };
}

function resize(child: ChildProcess | undefined, payload: Uint8Array): void {
  try {
    const { Width, Height } = JSON.parse(Buffer.from(payload).toString("utf8")) as { Width?: number; Height?: number };
    if (typeof Width === "number" && typeof Height === "number" && Width > 0 && Height > 0) child?.resize(Width, Height);
  } catch {
    // A size that cannot be read changes nothing.
  }
}

function frame(channel: number, bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(bytes.length + 1);
  message[0] = channel;
  message.set(bytes, 1);
  return message;
}
