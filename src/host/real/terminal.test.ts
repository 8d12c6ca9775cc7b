import assert from "node:assert/strict";
import { test } from "node:test";
import { realProcesses } from "./processes.ts";

function inTerminal(
  script: string,
  talk: (child: ReturnType<ReturnType<typeof realProcesses>["spawn"]>) => void = () => undefined,
): Promise<{ code: number | undefined; text: string }> {
  const said: Uint8Array[] = [];
  return new Promise((resolve) => {
    const child = realProcesses().spawn({
      command: ["sh", "-c", script],
      env: { PATH: "/usr/bin:/bin" },
      terminal: { columns: 91, rows: 17 },
      output: { onStdout: (bytes) => said.push(bytes), onStderr: () => undefined },
      onExit: ({ code }) => resolve({ code, text: Buffer.concat(said).toString().replaceAll("\r", "") }),
    });
    talk(child);
  });
}

test("a child in a terminal sees one, with its size, and it is its controlling terminal", async () => {
  const { code, text } = await inTerminal("test -t 0 && test -t 1 && stty size && echo controlling > /dev/tty; exit 3");
  assert.equal(code, 3);
  assert.equal(text, "17 91\ncontrolling\n");
});

test("what is typed reaches the child, a new size too, and Ctrl-C interrupts it", async () => {
  const typed = await inTerminal("stty -echo; read line; stty size; echo got $line", (child) => {
    child.resize(40, 20);
    setTimeout(() => child.writeStdin(Buffer.from("words\n")), 100);
  });
  assert.match(typed.text, /20 40\ngot words\n$/);
  const interrupted = await inTerminal("trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done", (child) => {
    setTimeout(() => child.writeStdin(Buffer.from([3])), 200);
  });
  assert.equal(interrupted.code, 9);
});
