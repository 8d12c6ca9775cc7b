/**
 * What settings of the node were before the agent wrote them, so that an uninstallation can put them back. The file lives
 * as long as the settings do: both are gone when the machine starts anew. Settings of our own links go with these.
 */
import type { Host } from "#host/host.ts";

/** In the folder of the agent's state. */
export const SYSCTLS_FILE = "sysctls.json";

type SysctlHost = Pick<Host, "files" | "netns">;

interface Former {
  readonly before: string;
  readonly written: string;
}

const OWN_LINK = /[.]weft[^.]*[.][a-z0-9_]+$/;

export class FormerSysctls {
  readonly #host: SysctlHost;
  readonly #path: string;
  #known: Map<string, Former> | undefined;

  constructor(host: SysctlHost, path: string) {
    this.#host = host;
    this.#path = path;
  }

  /** Before a setting is written. What an earlier agent found stands: this one finds what that one wrote. */
  async remember(key: string, written: string): Promise<void> {
    if (OWN_LINK.test(key)) return;
    const known = await this.#load();
    if (known.has(key)) return;
    const before = await this.#host.netns.readSysctl(undefined, key);
    if (before === written) return;
    known.set(key, { before, written });
    await this.#host.files.writeAtomic(this.#path, `${JSON.stringify(Object.fromEntries(known), undefined, 1)}\n`, { mode: 0o600 });
  }

  /** Resolves with what was put back. What somebody else has changed since is theirs. */
  async restore(): Promise<readonly string[]> {
    const restored: string[] = [];
    for (const [key, { before, written }] of await this.#load()) {
      if ((await this.#host.netns.readSysctl(undefined, key)) !== written) continue;
      await this.#host.netns.sysctl(undefined, key, before);
      restored.push(`${key} = ${before}`);
    }
    return restored;
  }

  async #load(): Promise<Map<string, Former>> {
    if (this.#known !== undefined) return this.#known;
    const isThere = (await this.#host.files.stat(this.#path)) !== undefined;
    const read = isThere ? (JSON.parse(await this.#host.files.readText(this.#path)) as Record<string, Former>) : {};
    return (this.#known ??= new Map(Object.entries(read)));
  }
}
