/**
 * The node's CNI configuration: what makes container runtimes call our plugin, and the node Ready. Runtimes take the first
 * file of the folder by name.
 *
 * - Profile full: 05-weft.conflist, written when the first plan is in force.
 * - Profile mesh: 05-weft-chained.conflist is the first other configuration with our plugin behind its own. It keeps that
 *   one's name, because plugins keep addresses and runtimes results under it. Written again when the other one changes,
 *   and gone when that is gone: a node whose network is taken away must not be Ready. An agent that is down leaves it: pods
 *   must not start past the mesh.
 */
import type { Host } from "#host/host.ts";
import type { Log } from "#run/log.ts";
import { PLUGIN } from "./plugin-files.ts";

export const FULL_CONFIG = "05-weft.conflist";
export const CHAINED_CONFIG = "05-weft-chained.conflist";
const CNI_VERSION = "1.0.0";
/** An inotify event may be lost; a look costs nothing. */
const LOOK_EVERY_MS = 10_000;

type ConfigHost = Pick<Host, "files" | "clock">;

export interface NetworkConfigOptions {
  readonly host: ConfigHost;
  readonly log: Log;
  /** The node's /etc/cni/net.d. */
  readonly folder: string;
  readonly socket: string;
}

export async function writeFullConfig({ host, log, folder, socket }: NetworkConfigOptions): Promise<void> {
  await host.files.makeDirectory(folder);
  await host.files.writeAtomic(`${folder}/${FULL_CONFIG}`, text({ cniVersion: CNI_VERSION, name: "weft", plugins: [{ type: PLUGIN, socket }] }));
  await host.files.remove(`${folder}/${CHAINED_CONFIG}`);
  const first = (await host.files.list(folder)).find((name) => isConfig(name));
  if (first !== undefined && first !== FULL_CONFIG)
    log.error("another CNI configuration comes before ours, so pods get their network from it; remove it, or give it a later name", {
      object: `${folder}/${first}`,
    });
}

function isConfig(name: string): boolean {
  return /[.](conflist|conf|json)$/.test(name);
}

export async function removeConfigs(files: Host["files"], folder: string): Promise<void> {
  for (const name of [FULL_CONFIG, CHAINED_CONFIG]) await files.remove(`${folder}/${name}`);
}

/** Resolves when the folder has been looked at once. */
export async function keepChained(options: NetworkConfigOptions): Promise<{ close(): void }> {
  const { host, log, folder } = options;
  await host.files.makeDirectory(folder);
  let looking = Promise.resolve();
  const look = (): Promise<void> => {
    looking = looking
      .then(() => chain(options))
      .catch((error: unknown) => log.error("could not chain behind the other CNI plugin; it is tried again", { object: folder, error }));
    return looking;
  };
  const watching = host.files.watch(folder, () => void look());
  const timer = host.clock.every(LOOK_EVERY_MS, () => void look());
  await host.files.remove(`${folder}/${FULL_CONFIG}`);
  await look();
  return {
    close() {
      watching.close();
      timer.cancel();
    },
  };
}

async function chain({ host, log, folder, socket }: NetworkConfigOptions): Promise<void> {
  const { files } = host;
  const own = `${folder}/${CHAINED_CONFIG}`;
  const written = (await files.stat(own)) === undefined ? undefined : await files.readText(own);
  const other = await firstOther(files, folder);
  if (other === undefined) {
    if (written === undefined) return;
    log.warn("the CNI configuration that ours is chained behind is gone; the node gets no pods until there is one", { object: folder });
    return files.remove(own);
  }
  if (other.name < CHAINED_CONFIG)
    throw new Error(`${folder}/${other.name} comes before ${CHAINED_CONFIG}, so runtimes do not see ours; give it a name that begins with 10 or more`);
  const wanted = text(chained(other.config, socket));
  if (wanted === written) return;
  await files.writeAtomic(own, wanted);
  log.info("chained behind the other CNI plugin", { object: `${folder}/${other.name}` });
}

async function firstOther(files: Host["files"], folder: string): Promise<{ readonly name: string; readonly config: Record<string, unknown> } | undefined> {
  for (const name of await files.list(folder)) {
    if (!isConfig(name) || name === CHAINED_CONFIG || name === FULL_CONFIG) continue;
    const config = listOf(await files.readText(`${folder}/${name}`), name);
    // Runtimes pass over what they cannot read, too.
    if (config !== undefined) return { name, config };
  }
  return undefined;
}

/** A list of plugins, also of a file with one. */
function listOf(content: string, name: string): Record<string, unknown> | undefined {
  let config: unknown;
  try {
    config = JSON.parse(content);
  } catch {
    return undefined;
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) return undefined;
  const known = config as Record<string, unknown>;
  if (name.endsWith(".conflist")) return Array.isArray(known["plugins"]) && known["plugins"].length > 0 ? known : undefined;
  return typeof known["type"] === "string" ? { cniVersion: known["cniVersion"], name: known["name"], plugins: [known] } : undefined;
}

export function chained(config: Readonly<Record<string, unknown>>, socket: string): Record<string, unknown> {
  const plugins = Array.isArray(config["plugins"]) ? (config["plugins"] as unknown[]) : [];
  return { ...config, plugins: [...plugins, { type: PLUGIN, socket }] };
}

function text(config: unknown): string {
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
