/** The inner half of `weft up`; started by it, never by hand. */
import { realHost } from "#host/real/real.ts";
import { lineReader, type ToInner } from "#model/supervisor-link.ts";
import { startSupervisor } from "#supervisor/supervisor.ts";

const supervisor = startSupervisor(
  realHost(),
  (message) => process.stdout.write(`${JSON.stringify(message)}\n`),
  (code) => process.exit(code),
);
process.stdin.on("data", lineReader<ToInner>(supervisor.received));
process.stdin.on("end", () => void supervisor.stop());
// The outer half may be killed while something is being said to it.
process.stdout.on("error", () => process.exit(1));
process.on("SIGTERM", () => void supervisor.stop());
