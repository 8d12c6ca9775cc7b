/**
 * What probes ask weft-names, on a socket of its own pod's files: two of this program share every port of the node for a while,
 * so a port would not tell which of them answers. A line in, a line of JSON out.
 *
 * "alive": it answers questions where it listens, or still waits for what it needs. "ready": questions to port 53 of the DNS
 * address come to it, so its predecessor may go. Who asks may wait for that: a start is then noticed when it happens, by
 * one process instead of one a second.
 */
import type { Host } from "#host/host.ts";
import type { SocketAddress } from "#host/net.ts";
import type { OwnQuestion, Reached } from "./own-question.ts";

export interface CheckQuestion {
  readonly check: string;
  /** 0: what is so now. */
  readonly waitMs: number;
}

export interface CheckResult {
  readonly ok: boolean;
  readonly text: string;
}

export interface Checked {
  readonly own: OwnQuestion;
  /** Where questions are asked, and where they are answered. */
  readonly asked: SocketAddress;
  /** What it waits for; undefined: it listens. */
  readonly waitsFor: () => string | undefined;
  readonly listens: SocketAddress;
}

const LOOK_EVERY_MS = 100;

export async function serveChecks(host: Pick<Host, "net" | "files">, path: string, checked: Checked): Promise<{ close(): Promise<void> }> {
  // Of the container that ran before in this pod.
  await host.files.remove(path);
  return host.net.listen({ address: { path }, mode: 0o600 }, (connection) => {
    let text = "";
    connection.handle({
      onData(bytes) {
        text += new TextDecoder().decode(bytes);
        if (!text.endsWith("\n")) return;
        void resultOf(text.trim(), checked).then((result) => {
          connection.write(`${JSON.stringify(result)}\n`);
          connection.end();
        });
      },
      onEnd() {},
      onClose() {},
    });
  });
}

export async function resultOf(check: string, { own, asked, listens, waitsFor }: Checked): Promise<CheckResult> {
  const waiting = waitsFor();
  const at = ({ ip, port }: SocketAddress) => `${ip}:${port}`;
  if (check === "alive") {
    if (waiting !== undefined) return { ok: true, text: `waits for ${waiting}` };
    const reached = await own.ask(listens);
    return reached === "nobody" ? { ok: false, text: `questions to ${at(listens)} are not answered` } : { ok: true, text: "answers" };
  }
  if (check !== "ready") return { ok: false, text: `${JSON.stringify(check)} is no check; alive and ready are` };
  if (waiting !== undefined) return { ok: false, text: `waits for ${waiting}` };
  const reached = await own.ask(asked);
  return { ok: reached === "this program", text: TEXTS[reached](at(asked)) };
}

const TEXTS: Readonly<Record<Reached, (at: string) => string>> = {
  "this program": (at) => `answers at ${at}`,
  another: (at) => `questions to ${at} are answered by another program, and not by this one: the node's agent does not send them here yet`,
  nobody: (at) => `questions to ${at} are not answered: the node's agent does not send them here yet`,
};

/** From another process of the pod: asks until it is so, or the time is over. */
export async function askForCheck(host: Pick<Host, "net" | "clock">, path: string, { check, waitMs }: CheckQuestion): Promise<CheckResult> {
  const end = host.clock.now() + waitMs;
  for (;;) {
    const result = await askOnce(host, path, check);
    if (result.ok || host.clock.now() >= end) return result;
    await host.clock.sleep(LOOK_EVERY_MS);
  }
}

function askOnce(host: Pick<Host, "net">, path: string, check: string): Promise<CheckResult> {
  return new Promise((resolve) => {
    let text = "";
    const connection = host.net.connect(
      { address: { path } },
      {
        onConnect: () => connection.write(`${check}\n`),
        onData: (bytes) => void (text += new TextDecoder().decode(bytes)),
        onEnd: () => connection.end(),
        onClose: (error) => {
          if (text.endsWith("\n")) resolve(JSON.parse(text) as CheckResult);
          else resolve({ ok: false, text: `${path} does not answer: ${error?.message ?? "it was closed"}` });
        },
      },
    );
  });
}
