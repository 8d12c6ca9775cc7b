/** Events about pods, as kubelet writes them: the same one again within the hour is counted, not repeated. */
import type { Clock } from "#host/clock.ts";
import type { Random } from "#host/random.ts";
import type { Event, Pod } from "#model/core.ts";
import type { Log } from "#run/log.ts";
import type { Cluster } from "./cluster.ts";
import { timestamp } from "./status.ts";

export interface EventRecorderOptions {
  readonly host: { readonly clock: Clock; readonly random: Random };
  readonly cluster: Pick<Cluster, "createEvent" | "updateEvent">;
  readonly log: Log;
  readonly nodeName: string;
}

export interface PodEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  readonly container: string | undefined;
}

const sameForMs = 3_600_000;
/** Counting an event again is a write; a failing probe every second need not be one. */
const leastBetweenMs = 2_000;
const longestMessage = 1024;

interface Known {
  event: Event;
  writtenMs: number;
}

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #known = new Map<string, Known>();
  #queue: Promise<void> = Promise.resolve();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  record(pod: Pod, { type, reason, message, container }: PodEvent): void {
    const { clock, random } = this.#options.host;
    const { nodeName } = this.#options;
    const now = clock.now();
    const key = [pod.metadata.uid, container, type, reason, message].join("\n");
    const known = this.#known.get(key);
    const fresh = known !== undefined && now - known.writtenMs < sameForMs;
    const namespace = pod.metadata.namespace ?? "default";
    const event: Event = {
      apiVersion: "v1",
      kind: "Event",
      metadata: fresh ? known.event.metadata : { name: `${pod.metadata.name}.${Buffer.from(random.bytes(8)).toString("hex")}`, namespace },
      involvedObject: {
        kind: "Pod",
        namespace,
        name: pod.metadata.name,
        apiVersion: "v1",
        ...(pod.metadata.uid === undefined ? {} : { uid: pod.metadata.uid }),
        ...(container === undefined ? {} : { fieldPath: `spec.containers{${container}}` }),
      },
      reason,
      message: message.slice(0, longestMessage),
      type,
      source: { component: "kubelet", host: nodeName },
      firstTimestamp: fresh ? (known.event.firstTimestamp ?? timestamp(now)) : timestamp(now),
      lastTimestamp: timestamp(now),
      count: fresh ? (known.event.count ?? 1) + 1 : 1,
      reportingComponent: "kubelet",
      reportingInstance: nodeName,
    };
    if (fresh && now - known.writtenMs < leastBetweenMs) {
      this.#known.set(key, { event, writtenMs: known.writtenMs });
      return;
    }
    this.#forgetOld(now);
    this.#known.set(key, { event, writtenMs: now });
    this.#queue = this.#queue.then(() => this.#write(event, fresh));
  }

  /** Resolves when what was recorded so far is written. */
  flush(): Promise<void> {
    return this.#queue;
  }

  async #write(event: Event, again: boolean): Promise<void> {
    const { cluster, log } = this.#options;
    try {
      await (again ? cluster.updateEvent(event) : cluster.createEvent(event));
    } catch (error) {
      // An event that is lost is no reason to hold up the next.
      log.debug("event not written", { object: `Event ${event.metadata.namespace}/${event.metadata.name}`, error });
    }
  }

  #forgetOld(now: number): void {
    if (this.#known.size < 1000) return;
    for (const [key, known] of this.#known) if (now - known.writtenMs >= sameForMs) this.#known.delete(key);
    for (const key of [...this.#known.keys()].slice(0, Math.max(0, this.#known.size - 1000))) this.#known.delete(key);
  }
}
