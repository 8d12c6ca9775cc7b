/**
 * One container's life: start, probe, end, back off, start again, until it is told to stop or its policy says it is done.
 * How a process is started (sandboxed application or sidecar) is the caller's; what is true of it is told by `view()`.
 */
import type { Clock } from "#host/clock.ts";
import type { ContainerState } from "#model/core.ts";
import type { Container, Probe } from "#model/pod-parts.ts";
import { formatDelay, nextBackOff, noBackOff, type BackOff } from "./back-off.ts";
import type { ContainerEnd, ContainerProcess } from "./container-process.ts";
import type { ConfigProblem } from "./environment.ts";
import { startProbes, type ProbeKind } from "./probe-runner.ts";
import type { ProbeResult } from "#run/probe.ts";
import { timestamp, type ContainerView } from "./status.ts";

/** What must outlive the runtime (record.ts keeps it). `attempt` counts starts from 0; -1: never started. */
export interface ContainerRecord {
  attempt: number;
  startedAtMs: number;
  last: Terminated | undefined;
  /** The last run is over for good (an init container that completed, a container whose policy is not to run again). */
  done: boolean;
}

export type Terminated = NonNullable<ContainerState["terminated"]>;

export interface ContainerDeps {
  readonly clock: Clock;
  /** Starts run number `attempt`. A ConfigProblem is retried: the object it misses may come. */
  launch(attempt: number): Promise<ContainerProcess | ConfigProblem>;
  adopt(attempt: number): Promise<ContainerProcess | undefined>;
  ask(probe: Probe): Promise<ProbeResult>;
  /** Kubernetes' postStart and preStop. */
  hook(kind: "postStart" | "preStop"): Promise<ProbeResult>;
  event(type: "Normal" | "Warning", reason: string, message: string): void;
  saved(record: ContainerRecord): Promise<void>;
  changed(): void;
  /** Text that the container left in its terminationMessagePath. */
  lastWords(attempt: number, failed: boolean): Promise<string | undefined>;
}

export interface ContainerOptions {
  readonly container: Container;
  readonly role: ContainerView["role"];
  readonly podName: string;
  readonly podUid: string;
  readonly restartPolicy: "Always" | "OnFailure" | "Never";
  readonly record: ContainerRecord | undefined;
}

const imageRetryMs = [10_000, 20_000, 40_000, 80_000, 160_000, 300_000];
const configRetryMs = 1000;
const SIGKILL = 9;

export class ContainerRunner {
  readonly options: ContainerOptions;
  readonly #deps: ContainerDeps;
  readonly #record: ContainerRecord;
  readonly #stopping = new AbortController();
  #state: ContainerState = { waiting: { reason: "ContainerCreating" } };
  #lastState: ContainerState | undefined;
  #ready = false;
  #started = false;
  #process: ContainerProcess | undefined;
  #probes: { stop(): void } | undefined;
  #killing: Promise<void> | undefined;
  #loop: Promise<void> | undefined;
  #wakers: (() => void)[] = [];
  #detached = false;
  /** The run that is going on is the last one. */
  #isStopping = false;

  constructor(options: ContainerOptions, deps: ContainerDeps) {
    this.options = options;
    this.#deps = deps;
    this.#record = options.record ?? { attempt: -1, startedAtMs: 0, last: undefined, done: false };
    const { last, done } = this.#record;
    if (last !== undefined && done) this.#state = { terminated: last };
    else if (last !== undefined) this.#lastState = { terminated: last };
    if (this.#record.done && options.role === "init") this.#ready = true;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  get name(): string {
    return this.options.container.name;
  }

  get attempt(): number {
    return this.#record.attempt;
  }

  get process(): ContainerProcess | undefined {
    return this.#process;
  }

  /** Init: completed; restartable init and apps: started (and their startup probe passed). */
  get isPast(): boolean {
    return this.options.role === "init" ? this.#state.terminated?.exitCode === 0 : this.#started;
  }

  get isReady(): boolean {
    return this.#ready;
  }

  /** It will not run again. */
  get isOver(): boolean {
    return this.#record.done;
  }

  view(): ContainerView {
    const { container, role, podUid } = this.options;
    const attempt = this.#record.attempt;
    return {
      name: container.name,
      image: container.image ?? "",
      role,
      state: this.#state,
      lastState: this.#lastState,
      ready: this.#ready,
      started: this.#started,
      restartCount: Math.max(0, attempt),
      containerId: attempt < 0 ? undefined : `weft://${podUid}/${container.name}/${attempt}`,
    };
  }

  /** Shows why it does not start yet ("PodInitializing", or that a volume is missing). */
  wait(reason: string, message?: string): void {
    if (this.#loop !== undefined || this.#record.done) return;
    this.#state = { waiting: { reason, ...(message === undefined ? {} : { message }) } };
    this.#deps.changed();
  }

  /** A sidecar that is already up when the runtime starts again must be waited for, not started. */
  async until(condition: () => boolean, signal: AbortSignal): Promise<boolean> {
    while (!condition() && !signal.aborted && !this.#stopping.signal.aborted) {
      if (this.isOver && !condition()) return false;
      await new Promise<void>((resolve) => {
        this.#wakers.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    return condition();
  }

  /** preStop, SIGTERM, SIGKILL when the grace period is over. Resolves when nothing of it runs any more. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    this.#probes?.stop();
    if (this.#process !== undefined) await this.#kill(graceMs, "Stopping container");
    this.#stopping.abort(new Error("stopped"));
    if (this.#loop === undefined) await this.#stopFormer(graceMs);
    await this.#loop;
    this.#wake();
  }

  /** The runtime goes away, and the container stays for the next one. */
  detach(): void {
    this.#detached = true;
    this.#probes?.stop();
    this.#stopping.abort(new Error("the runtime stops"));
  }

  /** A run that a former runtime started and this one never took up. */
  async #stopFormer(graceMs: number): Promise<void> {
    if (this.#record.attempt < 0 || this.#record.done) return;
    const process = await this.#deps.adopt(this.#record.attempt);
    if (process === undefined) return;
    this.#process = process;
    await this.#killNow(process, graceMs, undefined);
    this.#process = undefined;
    await this.#noteEnd(await process.ended);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let backOff: BackOff = noBackOff;
    let adopt = this.#record.attempt >= 0 && !this.#record.done;
    try {
      while (!signal.aborted && !this.#record.done) {
        const process = adopt ? await this.#adopt() : await this.#launch(signal);
        adopt = false;
        if (process === undefined) continue;
        const end = await this.#watch(process);
        if (this.#detached) return;
        const ranForMs = this.#deps.clock.now() - this.#record.startedAtMs;
        await this.#noteEnd(end);
        if (this.#record.done || signal.aborted) break;
        const next = nextBackOff(backOff, ranForMs);
        backOff = next.after;
        if (next.delayMs > 0) await this.#backOff(next.delayMs, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #adopt(): Promise<ContainerProcess | undefined> {
    const process = await this.#deps.adopt(this.#record.attempt);
    if (process !== undefined) return process;
    // The runtime was killed after it had counted the run and before it had started it.
    this.#record.attempt--;
    return undefined;
  }

  async #launch(signal: AbortSignal): Promise<ContainerProcess | undefined> {
    const attempt = this.#record.attempt + 1;
    for (let tries = 0; ; tries++) {
      const process = await this.#deps.launch(attempt);
      if (!("reason" in process)) {
        this.#deps.event("Normal", "Started", `Started container ${this.name}`);
        return process;
      }
      await this.#showProblem(process, tries, signal);
    }
  }

  /** Called by `launch` before anything is started: from here on the run exists. */
  async noteStart(attempt: number): Promise<void> {
    this.#record.attempt = attempt;
    this.#record.startedAtMs = this.#deps.clock.now();
    await this.#deps.saved(this.#record);
  }

  async #showProblem(problem: ConfigProblem, tries: number, signal: AbortSignal): Promise<void> {
    const { clock, event } = this.#deps;
    const isImage = problem.reason === "ErrImagePull";
    this.#set({ waiting: { reason: problem.reason, message: problem.message } });
    if (!isImage) {
      if (tries === 0) event("Warning", "Failed", `Error: ${problem.message}`);
      await clock.sleep(configRetryMs, signal);
      return;
    }
    const image = this.options.container.image ?? "";
    event("Warning", "Failed", `Failed to pull image "${image}": ${problem.message}`);
    event("Warning", "Failed", "Error: ErrImagePull");
    const delay = imageRetryMs[Math.min(tries, imageRetryMs.length - 1)] ?? configRetryMs;
    await clock.sleep(Math.min(delay, 5000), signal);
    this.#set({ waiting: { reason: "ImagePullBackOff", message: `Back-off pulling image "${image}": ErrImagePull: ${problem.message}` } });
    event("Normal", "BackOff", `Back-off pulling image "${image}"`);
    await clock.sleep(delay, signal);
  }

  async #watch(process: ContainerProcess): Promise<ContainerEnd> {
    this.#process = process;
    this.#killing = undefined;
    const { container, role } = this.options;
    this.#set({ running: { startedAt: timestamp(this.#record.startedAtMs) } });
    const post = container.lifecycle?.postStart === undefined ? Promise.resolve() : this.#postStart();
    void post.then(() => {
      if (this.#process !== process || this.#stopping.signal.aborted || this.#killing !== undefined) return;
      if (role === "init") this.#started = true;
      else this.#probes = this.#startProbes();
      this.#changed();
    });
    const end = await process.ended;
    this.#probes?.stop();
    this.#probes = undefined;
    this.#process = undefined;
    return end;
  }

  async #postStart(): Promise<void> {
    const result = await this.#deps.hook("postStart");
    if (result.ok) return;
    this.#deps.event("Warning", "FailedPostStartHook", `PostStartHook failed: ${result.message}`);
    await this.#kill(this.#defaultGraceMs(), "FailedPostStartHook");
  }

  #startProbes(): { stop(): void } {
    const { clock, ask, event } = this.#deps;
    const { container } = this.options;
    return startProbes({
      clock,
      container,
      ask,
      verdicts: {
        started: () => {
          this.#started = true;
          this.#changed();
        },
        ready: (ready) => {
          if (this.#ready === ready) return;
          this.#ready = ready;
          this.#changed();
        },
        failed: (kind: ProbeKind, message: string) => event("Warning", "Unhealthy", `${kind} probe failed: ${message}`),
        unhealthy: (kind) => {
          event("Normal", "Killing", `Container ${this.name} failed ${kind.toLowerCase()} probe, will be restarted`);
          void this.#kill(this.#defaultGraceMs(), undefined);
        },
      },
    });
  }

  #defaultGraceMs(): number {
    return (this.options.container.livenessProbe?.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  #kill(graceMs: number, why: string | undefined): Promise<void> {
    const process = this.#process;
    if (process === undefined) return Promise.resolve();
    this.#killing ??= this.#killNow(process, graceMs, why);
    return this.#killing;
  }

  async #killNow(process: ContainerProcess, graceMs: number, why: string | undefined): Promise<void> {
    const { clock, event, hook } = this.#deps;
    const { lifecycle } = this.options.container;
    if (why !== undefined) event("Normal", "Killing", `${why} ${this.name}`);
    this.#probes?.stop();
    const over = new AbortController();
    const ended = process.ended.then(() => over.abort(new Error("ended")));
    const deadline = clock.monotonic() + graceMs;
    const pause = (): Promise<void> => clock.sleep(Math.max(0, deadline - clock.monotonic()), over.signal).catch(() => {});
    if (lifecycle?.preStop !== undefined && graceMs > 0) {
      const done = hook("preStop").then((result) => {
        if (!result.ok) event("Warning", "FailedPreStopHook", `PreStopHook failed: ${result.message}`);
      });
      await Promise.race([done, pause()]);
    }
    if (graceMs > 0) {
      await process.signal(stopSignal(lifecycle?.stopSignal));
      await pause();
    }
    if (!over.signal.aborted) await process.kill();
    await ended;
  }

  async #noteEnd(end: ContainerEnd): Promise<void> {
    const { clock, lastWords, saved } = this.#deps;
    const { role, restartPolicy, podUid } = this.options;
    const failed = end.exitCode !== 0;
    const words = end.message ?? (await lastWords(this.#record.attempt, failed));
    const terminated: Terminated = {
      exitCode: end.exitCode,
      reason: end.reason ?? (failed ? "Error" : "Completed"),
      ...(words === undefined ? {} : { message: words }),
      startedAt: timestamp(this.#record.startedAtMs),
      finishedAt: timestamp(clock.now()),
      containerID: `weft://${podUid}/${this.name}/${this.#record.attempt}`,
    };
    const again = role === "restartable" || restartPolicy === "Always" || (restartPolicy === "OnFailure" && failed);
    // An init container that completed is done; one that failed runs again unless the pod's policy is Never.
    this.#record.done = this.#isStopping || (role === "init" ? !failed || restartPolicy === "Never" : !again);
    this.#record.last = terminated;
    this.#ready = role === "init" && !failed;
    this.#started = false;
    this.#lastState = this.#record.done ? this.#lastState : { terminated };
    this.#set({ terminated });
    await saved(this.#record);
  }

  async #backOff(delayMs: number, signal: AbortSignal): Promise<void> {
    const message = `back-off ${formatDelay(delayMs)} restarting failed container=${this.name} pod=${this.options.podName}`;
    this.#set({ waiting: { reason: "CrashLoopBackOff", message } });
    this.#deps.event("Warning", "BackOff", `Back-off restarting failed container ${this.name} in pod ${this.options.podName}`);
    await this.#deps.clock.sleep(delayMs, signal);
  }

  #set(state: ContainerState): void {
    this.#state = state;
    if (state.running === undefined && this.options.role !== "init") this.#ready = false;
    this.#changed();
  }

  #changed(): void {
    this.#deps.changed();
    this.#wake();
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }
}

const stopSignals: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15, SIGWINCH: 28 };

function stopSignal(name: string | undefined): number {
  return stopSignals[name ?? "SIGTERM"] ?? 15;
}
