/** Makes and refreshes a pod's volumes and its files of /etc on this machine. */
import type { ConfigProblem } from "./environment.ts";
import { podFacts, type PodContext } from "./pod-context.ts";
import { podEtc } from "./pod-etc.ts";
import { effectiveIdentity } from "./pod-rules.ts";
import { wantsServiceAccount } from "./mounts.ts";
import { makeEmptyFolder, writeVolume, type VolumeOwner } from "./volume-folder.ts";
import { serviceAccountVolume, volumeContent } from "./volumes.ts";

export class PodVolumes {
  readonly #context: PodContext;
  /** Volume name to what was written last. */
  readonly #written = new Map<string, string>();
  #count = 0;

  constructor(context: PodContext) {
    this.#context = context;
  }

  async writeEtc(): Promise<void> {
    const { host, paths, settings } = this.#context;
    const pod = this.#context.pod();
    const identities = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map((container) => effectiveIdentity(pod, container));
    const files = podEtc(pod, {
      podIP: this.#context.record.podIP ?? "",
      dnsAddress: settings.dnsAddress,
      uids: identities.map((identity) => identity.uid),
      gids: identities.map((identity) => identity.gid),
    });
    await host.files.makeDirectory(`${paths.own}/etc`, { mode: 0o755 });
    for (const [name, content] of Object.entries(files)) await host.files.writeAtomic(`${paths.own}/etc/${name}`, content, { mode: 0o644 });
  }

  /** Brings every volume to what its sources say now; a problem is of the first volume that cannot be made. */
  async refresh(): Promise<ConfigProblem | undefined> {
    const { host, paths, uids, settings, sources } = this.#context;
    const pod = this.#context.pod();
    const owner: VolumeOwner | undefined = uids.processes === undefined ? undefined : { uid: uids.processes, gid: uids.processes };
    const folder = `${paths.own}/volumes`;
    await host.files.makeDirectory(folder, { mode: 0o711 });
    let problem: ConfigProblem | undefined;
    for (const volume of [...(pod.spec.volumes ?? []), ...(wantsServiceAccount(pod) ? [serviceAccountVolume] : [])]) {
      const content = volumeContent(volume, { pod, facts: podFacts(this.#context), sources, clusterCa: settings.clusterCa });
      const target = `${folder}/${volume.name}`;
      if (content.kind === "problem") {
        problem ??= { ...content.problem, message: `MountVolume.SetUp failed for volume "${volume.name}" : ${content.problem.message}` };
      } else if (content.kind === "empty") {
        if (!this.#written.has(volume.name)) await makeEmptyFolder(host.files, target, owner);
        this.#written.set(volume.name, "");
      } else {
        const digest = JSON.stringify(content.files.map((file) => [file.path, Buffer.from(file.content).toString("base64"), file.mode]));
        if (this.#written.get(volume.name) === digest) continue;
        await writeVolume(host.files, { folder: target, content: content.files, version: `${host.clock.now()}-${this.#count++}`, owner });
        this.#written.set(volume.name, digest);
      }
    }
    return problem;
  }
}
