/**
 * One of several replicas is the leader, by a Lease (coordination.k8s.io/v1) as Kubernetes' own programs use it: the holder
 * renews it; who sees it unchanged for its whole duration, by his own clock, takes it; who stops gives it back.
 *
 * A leader that cannot renew lays its office down before anybody may take it. What it had begun to write by then may still
 * arrive: all that leaders write here can be written twice.
 */
import type { ApiClient } from "#client/client.ts";
import { isConflict } from "#client/api-error.ts";
import type { Timer } from "#host/clock.ts";
import type { Host } from "#host/host.ts";
import type { Lease } from "#model/coordination.ts";
import { structurallyEqual } from "#lib/equal.ts";
import type { Log } from "#run/log.ts";

/** As kube-controller-manager's, and istiod's. */
const LEASE_SECONDS = 15;
const RENEW_WITHIN_MS = 10_000;
const RETRY_MS = 2_000;

export interface ElectionOptions {
  readonly api: Pick<ApiClient, "find" | "create" | "update">;
  readonly log: Log;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Of this replica; unique among all starts. */
  readonly identity: string;
  /** We lead from now on. */
  readonly elected: () => void;
  /** We do not any more, and write nothing from now on. */
  readonly deposed: () => void;
}

export interface Election {
  readonly isLeader: boolean;
  /** Steps down and gives the Lease back, so that another replica need not wait until it ends. */
  stop(): Promise<void>;
}

export function runElection(host: Pick<Host, "clock" | "random">, options: ElectionOptions): Election {
  return new Candidate(host, options);
}

/** What was seen of the Lease, and when it was last seen to change. */
interface Seen {
  readonly lease: Lease;
  readonly atMs: number;
}

class Candidate implements Election {
  readonly #host: Pick<Host, "clock" | "random">;
  readonly #options: ElectionOptions;
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;
  #seen: Seen | undefined;
  #office: Timer | undefined;
  #isLeader = false;

  constructor(host: Pick<Host, "clock" | "random">, options: ElectionOptions) {
    this.#host = host;
    this.#options = options;
    this.#done = this.#run();
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  async stop(): Promise<void> {
    const led = this.#isLeader;
    this.#stopping.abort(new Error("stopped"));
    this.#depose("stopping");
    await this.#done;
    if (!led) return;
    try {
      await this.#release();
    } catch (error) {
      this.#options.log.warn("could not give the lease back; another replica takes it when it ends", { object: this.#name, error });
    }
  }

  get #name(): string {
    return `Lease ${this.#options.lease.namespace}/${this.#options.lease.name}`;
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#host;
    const { signal } = this.#stopping;
    let isNew = true;
    while (!signal.aborted) {
      const askedAtMs = clock.monotonic();
      try {
        if (!(await this.#acquire())) this.#depose("another replica holds the lease");
        // An answer that comes late is about a time that is over.
        else if (clock.monotonic() - askedAtMs < RENEW_WITHIN_MS && !signal.aborted) this.#elect(askedAtMs);
        isNew = true;
      } catch (error) {
        this.#options.log[isNew ? "warn" : "debug"]("could not renew or read the lease and will try again", { object: this.#name, error });
        isNew = false;
      }
      try {
        await clock.sleep(RETRY_MS * (this.#isLeader ? 1 : 1 + random.next() / 5), signal);
      } catch {
        // Stopping; the loop sees it.
      }
    }
  }

  /** Leading, until so long after `atMs`, when the Lease was certainly ours. */
  #elect(atMs: number): void {
    const { clock } = this.#host;
    this.#office?.cancel();
    this.#office = clock.after(atMs + RENEW_WITHIN_MS - clock.monotonic(), () => this.#depose("the lease was not renewed in time"));
    if (this.#isLeader) return;
    this.#isLeader = true;
    this.#options.log.info("this replica leads", { object: this.#name, identity: this.#options.identity });
    this.#options.elected();
  }

  #depose(reason: string): void {
    this.#office?.cancel();
    if (!this.#isLeader) return;
    this.#isLeader = false;
    this.#options.log.info("this replica no longer leads", { object: this.#name, reason });
    this.#options.deposed();
  }

  /** Whether the Lease is ours after this. */
  async #acquire(): Promise<boolean> {
    const { api, lease, identity } = this.#options;
    const now = await api.find("Lease", lease.name, lease.namespace);
    try {
      if (now === undefined) {
        this.#see(await api.create("Lease", this.#firstLease()));
        return true;
      }
      this.#see(now);
      if (now.spec?.holderIdentity !== identity && !this.#hasEnded(now)) return false;
      this.#see(await api.update("Lease", this.#taken(now)));
      return true;
    } catch (error) {
      // Another replica was faster.
      if (isConflict(error)) return false;
      throw error;
    }
  }

  #see(lease: Lease): void {
    if (this.#seen === undefined || !structurallyEqual(this.#seen.lease.spec, lease.spec)) this.#seen = { lease, atMs: this.#host.clock.monotonic() };
  }

  /** By the time that passed here since the Lease last changed: clocks of replicas differ. */
  #hasEnded({ spec }: Lease): boolean {
    if ((spec?.holderIdentity ?? "") === "") return true;
    const durationMs = (spec?.leaseDurationSeconds ?? LEASE_SECONDS) * 1000;
    return this.#seen !== undefined && this.#host.clock.monotonic() - this.#seen.atMs > durationMs;
  }

  #firstLease(): Lease {
    const { lease, identity } = this.#options;
    const now = this.#microTime();
    const spec = { holderIdentity: identity, leaseDurationSeconds: LEASE_SECONDS, acquireTime: now, renewTime: now, leaseTransitions: 0 };
    return { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: lease.name, namespace: lease.namespace }, spec };
  }

  #taken(lease: Lease): Lease {
    const { identity } = this.#options;
    const now = this.#microTime();
    const isOurs = lease.spec?.holderIdentity === identity;
    const own = isOurs ? {} : { acquireTime: now, leaseTransitions: (lease.spec?.leaseTransitions ?? 0) + 1 };
    return { ...lease, spec: { ...lease.spec, holderIdentity: identity, leaseDurationSeconds: LEASE_SECONDS, renewTime: now, ...own } };
  }

  async #release(): Promise<void> {
    const { api, lease, identity } = this.#options;
    const now = await api.find("Lease", lease.name, lease.namespace);
    if (now?.spec?.holderIdentity !== identity) return;
    const time = this.#microTime();
    await api.update("Lease", { ...now, spec: { ...now.spec, holderIdentity: "", leaseDurationSeconds: 1, renewTime: time, acquireTime: time } });
  }

  /** Kubernetes reads these times only with exactly six digits of a second. */
  #microTime(): string {
    return new Date(this.#host.clock.now()).toISOString().replace("Z", "000Z");
  }
}
