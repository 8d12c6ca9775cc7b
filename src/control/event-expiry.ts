/** Events live an hour, as in Kubernetes; nothing else would ever delete them. */
import type { ApiClient } from "#client/client.ts";
import type { Host } from "#host/host.ts";
import type { Log } from "#run/log.ts";
import { EVENT_TTL_MS } from "./events.ts";

const EVERY_MS = 5 * 60_000;

export function expireEvents(host: Pick<Host, "clock">, api: ApiClient, log: Log): { stop(): void } {
  const expire = async (): Promise<void> => {
    const { items } = await api.list("Event");
    const oldest = host.clock.now() - EVENT_TTL_MS;
    for (const event of items) {
      const last = event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp;
      if (last !== undefined && Date.parse(last) < oldest) await api.delete("Event", event.metadata);
    }
  };
  const timer = host.clock.every(EVERY_MS, () => void expire().catch((error: unknown) => log.warn("could not delete old events", { error }))).unref();
  return { stop: () => timer.cancel() };
}
