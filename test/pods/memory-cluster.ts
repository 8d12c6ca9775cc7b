/** An API server in memory, as far as the pod runtime uses one. */
import type { ConfigMap, Event, Node, Pod, PodStatus, Secret } from "#model/core.ts";
import type { Cluster } from "#pods/cluster.ts";

export class MemoryCluster implements Cluster {
  readonly objects = new Map<string, Pod>();
  readonly configMaps = new Map<string, ConfigMap>();
  readonly secrets = new Map<string, Secret>();
  readonly events: Event[] = [];
  readonly nodes: Node[] = [];
  changed: () => void = () => {};
  #revision = 0;

  pods(): ReadonlyMap<string, Pod> {
    return this.objects;
  }

  sources() {
    return { configMap: (name: string) => this.configMaps.get(name), secret: (name: string) => this.secrets.get(name), settled: () => Promise.resolve() };
  }

  add(name: string, spec: Pod["spec"], metadata: Partial<Pod["metadata"]> = {}): void {
    this.#put({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default", uid: `uid-${name}`, ...metadata }, spec });
  }

  delete(name: string, graceSeconds: number): void {
    const pod = this.get(name);
    this.#put({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: "2026-11-21T00:00:00Z", deletionGracePeriodSeconds: graceSeconds } });
  }

  get(name: string): Pod {
    const pod = this.objects.get(`default/${name}`);
    if (pod === undefined) throw new Error(`no pod ${name}`);
    return pod;
  }

  has(name: string): boolean {
    return this.objects.has(`default/${name}`);
  }

  writeStatus(pod: Pod, status: PodStatus): Promise<void> {
    const stored = this.objects.get(`default/${pod.metadata.name}`);
    if (stored?.metadata.uid === pod.metadata.uid && stored !== undefined) this.#put({ ...stored, status });
    return Promise.resolve();
  }

  remove(pod: Pod): Promise<void> {
    this.objects.delete(`default/${pod.metadata.name}`);
    this.changed();
    return Promise.resolve();
  }

  createEvent(event: Event): Promise<void> {
    this.events.push(event);
    return Promise.resolve();
  }

  updateEvent(event: Event): Promise<void> {
    return this.createEvent(event);
  }

  writeNode(node: Node): Promise<void> {
    this.nodes.push(node);
    return Promise.resolve();
  }

  renewLease(): Promise<void> {
    return Promise.resolve();
  }

  #put(pod: Pod): void {
    this.objects.set(`default/${pod.metadata.name}`, { ...pod, metadata: { ...pod.metadata, resourceVersion: String(++this.#revision) } });
    this.changed();
  }
}
