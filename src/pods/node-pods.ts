/**
 * All pods of the node: a worker for each Pod bound to it, kept in step with the API server. The stored Pod says what
 * should be; the worker's view says what is; the status is written when the two differ.
 */
import type { Pod } from "#model/core.ts";
import { structurallyEqual } from "#lib/equal.ts";
import type { Host } from "#host/host.ts";
import { reconcileLoop, type ReconcileLoop } from "#run/reconcile.ts";
import type { Log } from "#run/log.ts";
import type { Cluster } from "./cluster.ts";
import { EventRecorder } from "./events.ts";
import { HostFiles } from "./host-files.ts";
import { keepLog } from "./logs.ts";
import { PodWorker } from "./pod.ts";
import type { PodContext, PodHost } from "./pod-context.ts";
import { loadRecords, type PodRecord } from "./record.ts";
import { containerFiles, nodeFolder, podPaths, podUids, type PodsSettings } from "./settings.ts";
import { podStatus } from "./status.ts";

export interface NodePodsOptions {
  readonly host: PodHost & Pick<Host, "random">;
  readonly settings: PodsSettings;
  readonly cluster: Cluster;
  readonly log: Log;
  readonly capacity: { readonly cpus: number; readonly memoryBytes: number };
  readonly seccomp: string;
}

interface Entry {
  pod: Pod;
  readonly worker: PodWorker;
  /** Set when the pod must go: resolves when it is stopped. */
  ending: Promise<void> | undefined;
  readonly logs: Map<string, { close(): void }>;
}

export class NodePods {
  readonly #options: NodePodsOptions;
  readonly #events: EventRecorder;
  readonly #hostFiles: HostFiles;
  /** By uid: a Pod that was deleted and made again is another one. */
  readonly #entries = new Map<string, Entry>();
  readonly #adoptable = new Map<string, PodRecord>();
  readonly #statuses: ReconcileLoop;

  constructor(options: NodePodsOptions) {
    this.#options = options;
    const { host, settings, cluster, log } = options;
    this.#events = new EventRecorder({ host, cluster, log, nodeName: settings.node.name });
    this.#hostFiles = new HostFiles(host, settings);
    this.#statuses = reconcileLoop({ name: "pod status", host, log, concurrency: 8, reconcile: (uid) => this.#writeStatus(uid) });
  }

  /** What a former runtime of this node left. */
  async load(): Promise<void> {
    const { host, settings, log } = this.#options;
    const folder = `${nodeFolder(settings)}/sandboxes`;
    await host.files.makeDirectory(folder, { mode: 0o711 });
    const { records, broken } = await loadRecords(host.files, folder);
    for (const record of records) this.#adoptable.set(record.uid, record);
    for (const name of broken) {
      log.warn("a pod's record cannot be read: its folder is removed", { object: `${folder}/${name}` });
      await host.files.remove(`${folder}/${name}`);
    }
    await this.#removeOldLogs();
  }

  /** Brings the workers to what the API server says now. */
  sync(): void {
    const wanted = new Map([...this.#options.cluster.pods().values()].map((pod) => [pod.metadata.uid ?? "", pod]));
    for (const pod of wanted.values()) this.#syncPod(pod);
    for (const [uid, entry] of this.#entries) {
      // Removed without waiting for us (kubectl delete --force).
      if (!wanted.has(uid) && entry.ending === undefined) this.#end(uid, entry, 0);
    }
    // Left by a former runtime, and gone from the API since.
    for (const [uid, record] of this.#adoptable) {
      if (wanted.has(uid)) continue;
      this.#adoptable.delete(uid);
      this.#end(uid, this.#start(ghost(record), record), 0);
    }
  }

  sourcesChanged(): void {
    for (const { worker } of this.#entries.values())
      void worker.sourcesChanged().catch((error: unknown) => this.#options.log.warn("volumes not refreshed", { error }));
  }

  find(namespace: string, name: string): PodWorker | undefined {
    const found = [...this.#entries.values()].filter((entry) => entry.pod.metadata.namespace === namespace && entry.pod.metadata.name === name);
    return (found.find((entry) => entry.ending === undefined) ?? found[0])?.worker;
  }

  get size(): number {
    return this.#entries.size;
  }

  running(): { readonly containers: number; readonly restarts: number } {
    const views = [...this.#entries.values()].flatMap((entry) => entry.worker.view().containers);
    return { containers: views.filter((view) => view.state.running !== undefined).length, restarts: views.reduce((sum, view) => sum + view.restartCount, 0) };
  }

  /** Pods stay; the next runtime goes on with them. */
  async stop(): Promise<void> {
    for (const { worker, logs } of this.#entries.values()) {
      worker.detach();
      for (const log of logs.values()) log.close();
    }
    await this.#statuses.stop();
    await this.#events.flush();
  }

  #syncPod(pod: Pod): void {
    const uid = pod.metadata.uid ?? "";
    const known = this.#entries.get(uid);
    const over = pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
    // A pod that ran to its end before this runtime started does not run again.
    if (known === undefined && over && !this.#adoptable.has(uid)) {
      if (pod.metadata.deletionTimestamp !== undefined) void this.#options.cluster.remove(pod).catch(() => {});
      return;
    }
    const record = this.#adoptable.get(uid);
    this.#adoptable.delete(uid);
    const entry = known ?? this.#start(pod, record);
    const before = entry.pod;
    entry.pod = pod;
    if (pod.metadata.deletionTimestamp !== undefined && entry.ending === undefined) {
      this.#end(uid, entry, (pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
    } else if (known !== undefined && !structurallyEqual(before.metadata.annotations, pod.metadata.annotations)) {
      void entry.worker.sourcesChanged();
    }
    this.#statuses.add(uid);
  }

  #start(pod: Pod, adopted: PodRecord | undefined): Entry {
    const { host, settings, log, capacity, seccomp, cluster } = this.#options;
    const { name, namespace = "default", uid = "" } = pod.metadata;
    const slot = adopted?.slot ?? this.#freeSlot();
    const record: PodRecord = adopted ?? { namespace, name, uid, slot, startedAtMs: host.clock.now(), podIP: undefined, cniResult: undefined, containers: {} };
    const context: PodContext = {
      host,
      settings,
      hostFiles: this.#hostFiles,
      log,
      paths: podPaths(settings, { namespace, name, uid }),
      uids: podUids(settings, slot),
      record,
      seccomp,
      sources: cluster.sources(namespace),
      capacity,
      pod: () => this.#entries.get(uid)?.pod ?? pod,
    };
    const worker = new PodWorker(context, {
      event: (type, reason, message, container) => this.#events.record(context.pod(), { type, reason, message, container }),
      changed: () => this.#changed(uid),
    });
    const entry: Entry = { pod, worker, ending: undefined, logs: new Map() };
    this.#entries.set(uid, entry);
    return entry;
  }

  #changed(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    this.#statuses.add(uid);
    for (const view of entry.worker.view().containers) {
      const runner = entry.worker.runner(view.name);
      if (view.state.running === undefined || runner === undefined) continue;
      const path = containerFiles(entry.worker.context.paths, view.name, runner.attempt).log;
      if (entry.logs.has(path)) continue;
      // One file a container is watched: the newest.
      for (const [old, log] of entry.logs) {
        if (!old.startsWith(path.slice(0, path.lastIndexOf("/") + 1))) continue;
        log.close();
        entry.logs.delete(old);
      }
      entry.logs.set(path, keepLog(this.#options.host, path));
    }
  }

  #end(uid: string, entry: Entry, graceMs: number): void {
    const { cluster, log } = this.#options;
    entry.ending = entry.worker
      .end(graceMs)
      .then(async () => {
        for (const each of entry.logs.values()) each.close();
        await this.#writeStatus(uid);
        await cluster.remove(entry.pod);
        await entry.worker.forget();
        this.#entries.delete(uid);
      })
      .catch((error: unknown) => {
        log.warn("a pod is not removed yet", { object: `Pod ${entry.pod.metadata.namespace}/${entry.pod.metadata.name}`, error });
        this.#options.host.clock.after(1000, () => this.#end(uid, entry, 0));
      });
  }

  async #writeStatus(uid: string): Promise<void> {
    const entry = this.#entries.get(uid);
    if (entry === undefined || entry.pod.metadata.resourceVersion === undefined) return;
    const status = podStatus(entry.worker.view());
    // Compared with what the API server has, not with what was written last: others may have changed it.
    if (structurallyEqual(JSON.parse(JSON.stringify(status)), JSON.parse(JSON.stringify(entry.pod.status ?? {})))) return;
    await this.#options.cluster.writeStatus(entry.pod, status);
  }

  #freeSlot(): number {
    const taken = new Set([...this.#entries.values()].map((entry) => entry.worker.context.record.slot));
    for (const record of this.#adoptable.values()) taken.add(record.slot);
    let slot = 0;
    while (taken.has(slot)) slot++;
    return slot;
  }

  async #removeOldLogs(): Promise<void> {
    const { host, settings } = this.#options;
    const folder = `${settings.stateFolder}/logs/pods`;
    await host.files.makeDirectory(folder);
    for (const name of await host.files.list(folder)) {
      const uid = name.slice(name.lastIndexOf("_") + 1);
      // Another node's pods keep theirs.
      const known = await Promise.all(
        [...new Set([nodeFolder(settings), ...(await nodeFolders(host, settings))])].map((each) => host.files.stat(`${each}/sandboxes/${uid}`)),
      );
      if (known.every((each) => each === undefined)) await host.files.remove(`${folder}/${name}`);
    }
  }
}

async function nodeFolders(host: Pick<Host, "files">, settings: PodsSettings): Promise<string[]> {
  const nodes = `${settings.runFolder}/nodes`;
  return (await host.files.list(nodes)).map((name) => `${nodes}/${name}`);
}

/** A Pod whose object is gone, only to be stopped. */
function ghost(record: PodRecord): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: record.name, namespace: record.namespace, uid: record.uid },
    spec: { containers: Object.keys(record.containers).map((name) => ({ name })), restartPolicy: "Never" },
  };
}
