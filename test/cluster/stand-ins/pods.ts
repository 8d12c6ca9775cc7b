/** Lives until it is killed, with a grandchild that ignores SIGTERM: what a cluster must not leave behind. */
import { spawn } from "node:child_process";

spawn("sh", ["-c", "trap '' TERM; while :; do sleep 1000; done"], { detached: true, stdio: "ignore" });
setInterval(() => undefined, 1000);
