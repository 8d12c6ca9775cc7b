/**
 * One pod's life on its node: network, volumes, proxy, init containers, containers; and the way back. Everything it does
 * is told by `view()`; everything that must survive a restart of the runtime is in its record.
 */
import type { Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";
import { ContainerRunner, type ContainerDeps } from "./container.ts";
import { adopt, launch } from "./container-launcher.ts";
import { runHook, runInContainer } from "./container-access.ts";
import { makeNetwork, removeNetwork } from "./network.ts";
import { notHonoured, notHonouredText } from "./not-honoured.ts";
import { podFacts, type PodContext } from "./pod-context.ts";
import { podProblem } from "./pod-rules.ts";
import { PodVolumes } from "./pod-volumes.ts";
import { askProbe } from "./probe.ts";
import { saveRecord } from "./record.ts";
import { containerFiles } from "./settings.ts";
import { sidecarName } from "./sidecar.ts";
import { timestamp, type PodView } from "./status.ts";

export interface PodDeps {
  event(type: "Normal" | "Warning", reason: string, message: string, container?: string): void;
  /** The view is another one now. */
  changed(): void;
}

const retryMs = [500, 1000, 2000, 5000, 10_000];
const sidecarStopMs = 5000;
/** A reader that went away without a word must not keep a pod's folders. */
const readersMs = 3000;
const longestLastWords = 4096;

export class PodWorker {
  readonly context: PodContext;
  readonly #deps: PodDeps;
  readonly #runners: ContainerRunner[];
  readonly #volumes: PodVolumes;
  readonly #stopping = new AbortController();
  readonly #setup: Promise<void>;
  #failed: { readonly reason: string; readonly message: string } | undefined;
  #sandboxReady = false;
  #ended: Promise<void> | undefined;
  #detached = false;
  #saving: Promise<void> = Promise.resolve();
  readonly #readers = new Set<Promise<void>>();

  constructor(context: PodContext, deps: PodDeps) {
    this.context = context;
    this.#deps = deps;
    this.#volumes = new PodVolumes(context);
    const pod = context.pod();
    const init = (pod.spec.initContainers ?? []).map((container) => this.#runner(container, container.restartPolicy === "Always" ? "restartable" : "init"));
    this.#runners = [...init, ...pod.spec.containers.map((container) => this.#runner(container, "app"))];
    this.#setup = this.#run().catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) context.log.error("pod worker failed", { error, object: this.#object });
    });
  }

  view(): PodView {
    const { host, settings, record } = this.context;
    return {
      pod: this.context.pod(),
      containers: this.#runners.map((runner) => runner.view()),
      hostIP: settings.node.address,
      podIP: record.podIP,
      startTime: timestamp(record.startedAtMs),
      now: timestamp(host.clock.now()),
      sandboxReady: this.#sandboxReady,
      terminating: this.#stopping.signal.aborted || this.context.pod().metadata.deletionTimestamp !== undefined,
      failed: this.#failed,
    };
  }

  runner(name: string): ContainerRunner | undefined {
    return this.#runners.find((runner) => runner.name === name);
  }

  /** The objects that volumes read changed. */
  async sourcesChanged(): Promise<void> {
    if (this.#sandboxReady && !this.#stopping.signal.aborted) await this.#volumes.refresh();
  }

  /** Stops everything and removes what is on this machine; idempotent (the first grace period counts). */
  end(graceMs: number): Promise<void> {
    this.#ended ??= this.#end(graceMs);
    return this.#ended;
  }

  /** The runtime goes away and the pod stays. */
  detach(): void {
    this.#detached = true;
    for (const runner of this.#runners) runner.detach();
  }

  get #object(): string {
    const { namespace, name } = this.context.record;
    return `Pod ${namespace}/${name}`;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    this.#warnOfRefusals();
    await this.#untilPossible(signal);
    await this.#makeSandbox(signal);
    await this.#mountVolumes(signal);
    this.#sandboxReady = true;
    this.#deps.changed();
    const proxy = this.runner(sidecarName);
    // Nothing of the pod's runs before its proxy answers: it would meet closed ports, or bypass the mesh.
    if (proxy !== undefined) await this.#startAndAwait(proxy, () => proxy.isReady, signal);
    for (const runner of this.#runners) {
      if (runner === proxy || runner.options.role === "app") continue;
      if (!(await this.#startAndAwait(runner, () => runner.isPast, signal))) return;
    }
    for (const runner of this.#runners) if (runner.options.role === "app") runner.start();
    this.#deps.changed();
    this.#watchDeadline();
  }

  async #startAndAwait(runner: ContainerRunner, condition: () => boolean, signal: AbortSignal): Promise<boolean> {
    for (const other of this.#runners) if (other !== runner) other.wait("PodInitializing");
    runner.start();
    const reached = await runner.until(condition, signal);
    signal.throwIfAborted();
    return reached;
  }

  /** A pod that asks for what is not given waits, and says why: failing it would make its ReplicaSet create it again and again. */
  async #untilPossible(signal: AbortSignal): Promise<void> {
    const problem = podProblem(this.context.pod());
    if (problem === undefined) return;
    for (const runner of this.#runners) runner.wait(problem.reason, problem.message);
    this.#deps.event("Warning", "FailedCreatePodSandBox", problem.message);
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    signal.throwIfAborted();
  }

  async #makeSandbox(signal: AbortSignal): Promise<void> {
    const { host, settings, record, paths, log } = this.context;
    for (let tries = 0; ; tries++) {
      signal.throwIfAborted();
      try {
        await this.#makeFolders();
        if (record.podIP === undefined || !(await host.netns.exists(paths.netns))) {
          const { podIP, result } = await makeNetwork(host, settings, this.#network());
          record.podIP = podIP;
          record.cniResult = result;
          await this.#save();
        }
        await this.#volumes.writeEtc();
        return;
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        log.warn("sandbox", { object: this.#object, error });
        this.#deps.event("Warning", "FailedCreatePodSandBox", `Failed to create pod sandbox: ${message}`);
        await host.clock.sleep(retryMs[Math.min(tries, retryMs.length - 1)] ?? 0, signal);
      }
    }
  }

  async #makeFolders(): Promise<void> {
    const { host, paths, uids } = this.context;
    await host.files.makeDirectory(paths.own, { mode: 0o711 });
    await host.files.makeDirectory(paths.proxy, { mode: 0o700 });
    await host.files.chmod(paths.proxy, 0o700);
    if (uids.proxy !== undefined) await host.files.chown(paths.proxy, uids.proxy, uids.proxy);
    await this.#save();
  }

  async #mountVolumes(signal: AbortSignal): Promise<void> {
    const { host } = this.context;
    // The first look is what makes the objects known that the volumes name.
    if ((await this.#volumes.refresh()) === undefined) return;
    await this.context.sources.settled(signal);
    for (let tries = 0; ; tries++) {
      const problem = await this.#volumes.refresh();
      if (problem === undefined) return;
      for (const runner of this.#runners) runner.wait("ContainerCreating", problem.message);
      if (tries === 0) this.#deps.event("Warning", problem.reason, problem.message);
      await host.clock.sleep(retryMs[Math.min(tries, 2)] ?? 0, signal);
    }
  }

  #warnOfRefusals(): void {
    const found = notHonoured(this.context.pod());
    if (found.length > 0) this.#deps.event("Warning", "NotHonoured", notHonouredText(found));
  }

  #watchDeadline(): void {
    const seconds = this.context.pod().spec.activeDeadlineSeconds;
    if (seconds === undefined) return;
    const { clock } = this.context.host;
    const timer = clock.after(Math.max(0, this.context.record.startedAtMs + seconds * 1000 - clock.now()), () => {
      this.#failed = { reason: "DeadlineExceeded", message: "Pod was active on the node longer than the specified deadline" };
      this.#deps.event("Normal", "DeadlineExceeded", "Pod was active on the node longer than specified deadline");
      void this.#stopContainers((this.context.pod().spec.terminationGracePeriodSeconds ?? 30) * 1000);
    });
    this.#stopping.signal.addEventListener("abort", () => timer.cancel(), { once: true });
  }

  async #end(graceMs: number): Promise<void> {
    const { host, settings, record, paths, log } = this.context;
    this.#stopping.abort(new Error("the pod is being stopped"));
    this.#deps.changed();
    await this.#setup;
    await this.#stopContainers(graceMs);
    this.#sandboxReady = false;
    for (let tries = 0; ; tries++) {
      try {
        await removeNetwork(host, settings, this.#network(), record.cniResult);
        break;
      } catch (error) {
        log.warn("network of a stopped pod stays for now", { object: this.#object, error });
        await host.clock.sleep(retryMs[Math.min(tries, retryMs.length - 1)] ?? 0);
        if (this.#detached) return;
      }
    }
    await host.files.remove(paths.proxy);
  }

  /** Somebody reads its logs until `work` settles. */
  reading(work: Promise<void>): void {
    const settled = work.catch(() => {}).then(() => void this.#readers.delete(settled));
    this.#readers.add(settled);
  }

  /** Its folders and logs go last, when nobody can ask for them any more, and who follows them has read the end. */
  async forget(): Promise<void> {
    const { files, clock } = this.context.host;
    if (this.#readers.size > 0) await Promise.race([Promise.all(this.#readers), clock.sleep(readersMs)]);
    await files.remove(this.context.paths.own);
    await files.remove(this.context.paths.logs);
  }

  async #stopContainers(graceMs: number): Promise<void> {
    const sidecars = this.#runners.filter((runner) => runner.name === sidecarName);
    const restartable = this.#runners.filter((runner) => runner.options.role === "restartable" && runner.name !== sidecarName);
    const others = this.#runners.filter((runner) => !sidecars.includes(runner) && !restartable.includes(runner));
    const deadline = this.context.host.clock.monotonic() + graceMs;
    const left = (): number => Math.max(0, deadline - this.context.host.clock.monotonic());
    await Promise.all(others.map((runner) => runner.stop(graceMs)));
    for (const runner of restartable.toReversed()) await runner.stop(left());
    // Last: until here the others finish their requests through it.
    await Promise.all(sidecars.map((runner) => runner.stop(graceMs === 0 ? 0 : sidecarStopMs)));
  }

  /** Jobs end although their proxy would run for ever. */
  #containerChanged(): void {
    this.#deps.changed();
    const apps = this.#runners.filter((runner) => runner.options.role === "app" && runner.name !== sidecarName);
    if (apps.length === 0 || !apps.every((runner) => runner.isOver) || this.#stopping.signal.aborted) return;
    for (const runner of this.#runners) if (runner.name === sidecarName || runner.options.role === "restartable") void runner.stop(sidecarStopMs);
  }

  #runner(container: Container, role: "init" | "restartable" | "app"): ContainerRunner {
    const { context } = this;
    const { record, host } = context;
    const pod: Pod = context.pod();
    const policy = pod.spec.restartPolicy ?? "Always";
    // A proxy is needed for as long as anything else runs.
    const restartPolicy = container.name === sidecarName ? "Always" : policy;
    const current = (): Container => this.#containerNow(container);
    const deps: ContainerDeps = {
      clock: host.clock,
      launch: async (attempt) => {
        const image = current().image ?? "";
        return launch(context, {
          container: current(),
          attempt,
          signal: this.#stopping.signal,
          aboutToStart: async () => {
            this.#deps.event("Normal", "Pulled", `Container image "${image}" already present on machine`, container.name);
            this.#deps.event("Normal", "Created", `Created container: ${container.name}`, container.name);
            await runner.noteStart(attempt);
          },
        });
      },
      adopt: (attempt) => adopt(context, container, attempt),
      ask: (probe) =>
        askProbe(
          host,
          {
            container: current(),
            podIP: podFacts(context).podIP,
            netns: context.paths.netns,
            exec: (command, timeoutMs) => runInContainer(context, current(), runner.process, { command, timeoutMs }),
          },
          probe,
        ),
      hook: (kind) => runHook(context, current(), runner.process, kind),
      event: (type, reason, message) => this.#deps.event(type, reason, message, container.name),
      saved: async (value) => {
        record.containers[container.name] = value;
        await this.#save();
      },
      changed: () => this.#containerChanged(),
      lastWords: (attempt, failed) => this.#lastWords(current(), attempt, failed),
    };
    const options = {
      container,
      role,
      podName: `${record.name}_${record.namespace}(${record.uid})`,
      podUid: record.uid,
      restartPolicy,
      record: record.containers[container.name],
    };
    const runner: ContainerRunner = new ContainerRunner(options, deps);
    return runner;
  }

  /** As the stored Pod has it now: its image may have been changed. */
  #containerNow(container: Container): Container {
    const { spec } = this.context.pod();
    return [...(spec.initContainers ?? []), ...spec.containers].find((each) => each.name === container.name) ?? container;
  }

  async #lastWords(container: Container, attempt: number, failed: boolean): Promise<string | undefined> {
    const { files } = this.context.host;
    const { lastWords, log } = containerFiles(this.context.paths, container.name, attempt);
    const words = await files.readText(lastWords).catch(() => "");
    if (words !== "") return words.slice(0, longestLastWords);
    if (!failed || container.terminationMessagePolicy !== "FallbackToLogsOnError") return undefined;
    const size = (await files.stat(log))?.sizeBytes ?? 0;
    return Buffer.from(await files.readFrom(log, Math.max(0, size - 2048), 2048)).toString("utf8");
  }

  #network(): { namespace: string; name: string; uid: string; netns: string } {
    const { namespace, name, uid } = this.context.record;
    return { namespace, name, uid, netns: this.context.paths.netns };
  }

  #save(): Promise<void> {
    const { host, paths, record } = this.context;
    // One after the other: an older state must not replace a newer one.
    this.#saving = this.#saving.catch(() => {}).then(() => saveRecord(host.files, paths.own, record));
    return this.#saving;
  }
}
