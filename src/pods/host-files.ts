/**
 * Where a sandbox finds host paths (Node, image folders). An ordinary user's cluster binds them as they are. A cluster of
 * root starts pods as another uid, which may not pass through folders such as /root: root binds each path once to a place
 * that everyone can reach, below the runtime's own folder, in the cluster's mount namespace.
 */
import type { Host } from "#host/host.ts";
import { nodeFolder, type PodsSettings } from "./settings.ts";

export class HostFiles {
  readonly #host: Pick<Host, "files" | "processes">;
  readonly #folder: string | undefined;
  readonly #staged = new Map<string, Promise<string>>();

  constructor(host: Pick<Host, "files" | "processes">, settings: PodsSettings) {
    this.#host = host;
    this.#folder = settings.firstHostUid === undefined ? undefined : `${nodeFolder(settings)}/staged`;
  }

  /** A path with the same content that pods' uids can reach. */
  reachable(source: string): Promise<string> {
    if (this.#folder === undefined) return Promise.resolve(source);
    const name = Buffer.from(source).toString("base64url");
    const target = `${this.#folder}/${name.length > 200 ? name.slice(-200) : name}`;
    let staged = this.#staged.get(source);
    if (staged === undefined) {
      staged = this.#stage(source, target);
      this.#staged.set(source, staged);
      staged.catch(() => this.#staged.delete(source));
    }
    return staged;
  }

  async #stage(source: string, target: string): Promise<string> {
    const { files, processes } = this.#host;
    const facts = await files.stat(source);
    if (facts === undefined) throw new Error(`${source}: there is no such file or folder (ClusterConfig spec.images[].mounts[].source)`);
    // A former runtime of this node may have staged it.
    const mounted = await processes.run(["mountpoint", "-q", target]);
    if (mounted.code === 0) return target;
    const isFolder = (await processes.run(["test", "-d", source])).code === 0;
    await files.makeDirectory(target.slice(0, target.lastIndexOf("/")), { mode: 0o711 });
    if (isFolder) await files.makeDirectory(target, { mode: 0o755 });
    else await files.writeAtomic(target, "");
    const bound = await processes.run(["mount", "--bind", source, target]);
    if (bound.code !== 0) throw new Error(`mount --bind ${source} ${target}: ${bound.stderr.trim()}`);
    return target;
  }
}
