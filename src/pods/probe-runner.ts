/** Asks a container's probes on their schedules for as long as it runs, and says what follows from the answers. */
import type { Clock } from "#host/clock.ts";
import type { Container, Probe } from "#model/pod-parts.ts";
import type { ProbeResult } from "#run/probe.ts";

export interface ProbeVerdicts {
  /** The startup probe passed, or there is none. */
  started(): void;
  ready(ready: boolean): void;
  /** Liveness or startup failed often enough: the container must be restarted. */
  unhealthy(kind: ProbeKind, message: string): void;
  /** One answer was no. */
  failed(kind: ProbeKind, message: string): void;
}

export type ProbeKind = "Startup" | "Readiness" | "Liveness";

export interface ProbeRunnerOptions {
  readonly clock: Clock;
  readonly container: Container;
  ask(probe: Probe): Promise<ProbeResult>;
  readonly verdicts: ProbeVerdicts;
}

/** Until the first success a readiness probe is asked at least this often: a pod should not wait ten seconds for nothing. */
const eagerPeriodMs = 250;
const eagerForMs = 10_000;

export function startProbes(options: ProbeRunnerOptions): { stop(): void } {
  const { clock, container, verdicts } = options;
  const stopped = new AbortController();
  const { startupProbe, readinessProbe, livenessProbe } = container;

  const rest = (): void => {
    verdicts.started();
    if (readinessProbe === undefined) verdicts.ready(true);
    else void loop("Readiness", readinessProbe, (ok) => verdicts.ready(ok));
    if (livenessProbe !== undefined) void loop("Liveness", livenessProbe, (ok, message) => !ok && verdicts.unhealthy("Liveness", message));
  };

  /** `turned` is called when the threshold of one direction is reached. */
  async function loop(kind: ProbeKind, probe: Probe, turned: (ok: boolean, message: string) => void): Promise<void> {
    const { signal } = stopped;
    const periodMs = (probe.periodSeconds ?? 10) * 1000;
    const run = { ok: false, count: 0, everOk: false };
    try {
      await clock.sleep((probe.initialDelaySeconds ?? 0) * 1000, signal);
      const begin = clock.monotonic();
      let due = begin;
      const isEager = (): boolean => !run.everOk && kind !== "Liveness" && clock.monotonic() - begin < eagerForMs;
      while (!signal.aborted) {
        const isDue = clock.monotonic() >= due;
        if (isDue) due = Math.max(due + periodMs, clock.monotonic());
        const { ok, message } = await options.ask(probe);
        if (signal.aborted) return;
        // A failure between the periods answers a question that the manifest did not ask: it counts towards nothing.
        if (ok || isDue) {
          run.count = run.ok === ok ? run.count + 1 : 1;
          run.ok = ok;
          run.everOk ||= ok;
          if (!ok && !isEager()) verdicts.failed(kind, message);
          if (run.count >= (ok ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3))) {
            turned(ok, message);
            if (kind === "Startup") return;
          }
        }
        const pauseMs = Math.max(0, due - clock.monotonic());
        await clock.sleep(isEager() ? Math.min(eagerPeriodMs, pauseMs) : pauseMs, signal);
      }
    } catch (error) {
      // clock.sleep rejects when stopped; anything else is a bug of ours.
      if (!signal.aborted) throw error;
    }
  }

  if (startupProbe === undefined) rest();
  else void loop("Startup", startupProbe, (ok, message) => (ok ? rest() : verdicts.unhealthy("Startup", message)));
  return {
    stop() {
      stopped.abort(new Error("stopped"));
    },
  };
}
