/** Runs inside the cluster (`weft enter`): writes every frame of a port of the underlay bridge to standard output until it is told to end. */
import { realHost } from "#host/real/real.ts";

const [link = "node-1"] = process.argv.slice(2);
const session = realHost().netlink.open();
session.capture(link, (frame) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  process.stdout.write(Buffer.concat([length, frame]));
});
process.stderr.write("capturing\n");
process.stdin.resume().on("end", () => process.exit());
for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit());
