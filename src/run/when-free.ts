/**
 * A listener on a port of the node that a program before this one may still have: who replaces a pod by force starts the next
 * one while the former lays its work down. Waiting for it costs a moment, failing costs a start and kubelet's back-off.
 */
import { HostError } from "#host/host-error.ts";
import type { Clock } from "#host/clock.ts";
import type { Log } from "./log.ts";

/** Kubernetes' default grace is 30 s, after which the former is killed; some more, because it is killed late on a busy node. */
const FORMER_ENDS_WITHIN_MS = 45_000;
const AGAIN_MS = 250;

/** `serve` listens, and rejects with HostError EADDRINUSE while somebody else does; any other failure is final. */
export async function whenFree<T>(host: { readonly clock: Clock }, log: Log, serve: () => Promise<T>): Promise<T> {
  const { clock } = host;
  const until = clock.monotonic() + FORMER_ENDS_WITHIN_MS;
  for (let isTold = false; ; isTold = true) {
    try {
      const server = await serve();
      if (isTold) log.info("the address is free now");
      return server;
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== "EADDRINUSE" || clock.monotonic() > until) throw error;
      if (!isTold) log.warn("an address is in use, as by a former pod that is still ending; it is tried again for 45 s", { object: error.subject });
    }
    await clock.sleep(AGAIN_MS);
  }
}
