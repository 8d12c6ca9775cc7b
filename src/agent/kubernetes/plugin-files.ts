/**
 * The CNI plugin on the node: /opt/cni/bin/weft-cni and what it needs beside it, copied from the image. Files in
 * weft-cni.d are named after their content, so one that is there is right; the launcher comes last, when all that it
 * starts is in place, and takes the old one's place at once. What only an older launcher needs goes when pods can start.
 */
import type { Host } from "#host/host.ts";

type Files = Pick<Host["files"], "list" | "stat" | "copyAtomic" | "makeDirectory" | "remove">;

export const PLUGIN = "weft-cni";
const PARTS = "weft-cni.d";

export interface PluginFolders {
  /** In the image. */
  readonly source: string;
  /** The node's /opt/cni/bin. */
  readonly target: string;
}

export async function installPlugin(files: Files, { source, target }: PluginFolders): Promise<void> {
  if ((await files.stat(`${source}/${PLUGIN}`)) === undefined)
    throw new Error(`${source}/${PLUGIN}: the image has no CNI plugin; was it made by npm run image?`);
  await files.makeDirectory(target);
  if ((await files.stat(`${source}/${PARTS}`)) !== undefined) await copyFolder(files, `${source}/${PARTS}`, `${target}/${PARTS}`);
  await files.copyAtomic(`${source}/${PLUGIN}`, `${target}/${PLUGIN}`);
}

async function copyFolder(files: Files, from: string, to: string): Promise<void> {
  await files.makeDirectory(to);
  for (const name of await files.list(from)) {
    const facts = await files.stat(`${from}/${name}`);
    if (facts?.kind === "directory") await copyFolder(files, `${from}/${name}`, `${to}/${name}`);
    else if (facts?.sizeBytes !== (await files.stat(`${to}/${name}`))?.sizeBytes) await files.copyAtomic(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Parts of other versions. */
export async function removeOldParts(files: Files, { source, target }: PluginFolders): Promise<void> {
  if ((await files.stat(`${target}/${PARTS}`)) === undefined) return;
  const current = new Set((await files.stat(`${source}/${PARTS}`)) === undefined ? [] : await files.list(`${source}/${PARTS}`));
  for (const name of await files.list(`${target}/${PARTS}`)) if (!current.has(name)) await files.remove(`${target}/${PARTS}/${name}`);
}

export async function removePlugin(files: Files, target: string): Promise<void> {
  await files.remove(`${target}/${PLUGIN}`);
  await files.remove(`${target}/${PARTS}`);
}
