/** Events of controllers. One that repeats raises a count instead of making another. Losing one harms nobody. */
import { createHash } from "node:crypto";
import type { Host } from "#host/host.ts";
import type { Event } from "#model/core.ts";
import { objectKey } from "#model/object.ts";
import type { Log } from "#run/log.ts";
import { nowText } from "./control-api.ts";
import type { EventRecorder } from "./control-api.ts";

export const EVENT_SOURCE = "weft-control";
/** Kubernetes' --event-ttl. */
export const EVENT_TTL_MS = 3_600_000;
/** Repeats of one event that are remembered for counting. */
const REMEMBERED = 1_000;

export interface EventWriter {
  create(event: Event): Promise<unknown>;
  patch(event: Event, patch: object): Promise<unknown>;
}

export function eventRecorder(host: Pick<Host, "clock">, writer: EventWriter, log: Log): EventRecorder {
  const known = new Map<string, { event: Event; count: number; written: Promise<unknown> }>();
  return {
    record(about, { type, reason, message }) {
      const now = nowText(host);
      const { name, namespace = "default", uid = "" } = about.metadata;
      const key = `${uid || objectKey(about)}\0${reason}\0${message}`;
      const failed = (error: unknown): void => log.debug("an event was not written", { object: `${about.kind} ${objectKey(about)}`, reason, error });
      const before = known.get(key);
      if (before !== undefined) {
        before.count += 1;
        const patch = { count: before.count, lastTimestamp: now };
        before.written = before.written.then(() => writer.patch(before.event, patch)).catch(failed);
        return;
      }
      const event: Event = {
        apiVersion: "v1",
        kind: "Event",
        // The time makes the name unique among starts of this program, as in Kubernetes.
        metadata: { name: `${name}.${createHash("sha256").update(`${key}${host.clock.now()}`).digest("hex").slice(0, 16)}`, namespace },
        involvedObject: { apiVersion: about.apiVersion, kind: about.kind, name, ...(about.metadata.namespace === undefined ? {} : { namespace }), uid },
        type,
        reason,
        message,
        source: { component: EVENT_SOURCE },
        reportingComponent: EVENT_SOURCE,
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      };
      known.set(key, { event, count: 1, written: writer.create(event).catch(failed) });
      for (const oldest of known.keys()) {
        if (known.size <= REMEMBERED) break;
        known.delete(oldest);
      }
    },
  };
}
