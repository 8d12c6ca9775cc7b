/** The `weft` command on the real machine. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { cli, type Terminal } from "#cli/cli.ts";
import { realHost } from "#host/real/real.ts";

const sourceRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const args = process.argv.slice(2);
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const terminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  inputIsTty: process.stdin.isTTY === true,
  color: process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb",
  env: process.env,
  cwd: process.cwd(),
  args,
  pid: process.pid,
  uid: process.getuid?.() ?? 0,
  node: process.execPath,
  sourceRoot,
  onSignal(stop) {
    for (const signal of SIGNALS) process.on(signal, stop);
    return {
      release() {
        for (const signal of SIGNALS) process.off(signal, stop);
      },
    };
  },
};

// A closed pipe (`weft status | head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

/** The proxy is another program: it runs as a process of its own, on this terminal. */
function node(nodeArgs: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, nodeArgs, { stdio: "inherit" });
  // A terminal sends Ctrl-C to both.
  process.on("SIGINT", () => (terminal.inputIsTty ? undefined : child.kill("SIGINT")));
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? 128 + (constants.signals[signal ?? "SIGTERM"] ?? 0))));
}

process.exitCode = await cli({ host: realHost(), terminal }, args, { node });
// Sockets of an ended cluster must not keep the command alive; output to a pipe is written first.
process.stdout.write("", () => process.stderr.write("", () => process.exit()));
