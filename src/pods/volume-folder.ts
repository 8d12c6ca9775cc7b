/**
 * Writes a volume's files so that a program sees either all of the old ones or all of the new ones: each version is a
 * folder of its own, `..data` is a link to the newest, and every file is a link through it (as kubelet lays them out, so
 * programs that watch `..data` work).
 */
import type { Files } from "#host/files.ts";
import type { VolumeFile } from "./volumes.ts";

export interface VolumeOwner {
  readonly uid: number;
  readonly gid: number;
}

const dataLink = "..data";

export async function makeEmptyFolder(files: Files, folder: string, owner: VolumeOwner | undefined): Promise<void> {
  await files.makeDirectory(folder);
  await files.chmod(folder, 0o777);
  if (owner !== undefined) await files.chown(folder, owner.uid, owner.gid);
}

/** `version` is new for every call with other content; the same version again changes nothing. */
export async function writeVolume(
  files: Files,
  write: { folder: string; content: readonly VolumeFile[]; version: string; owner: VolumeOwner | undefined },
): Promise<void> {
  const { folder, content, version, owner } = write;
  await files.makeDirectory(folder, { mode: 0o755 });
  const name = `..${version}`;
  const before = await files.list(folder);
  if (before.includes(name)) return;
  const target = `${folder}/${name}`;
  await files.makeDirectory(target, { mode: 0o755 });
  for (const file of content) {
    const path = `${target}/${file.path}`;
    const slash = file.path.lastIndexOf("/");
    if (slash > 0) await files.makeDirectory(`${target}/${file.path.slice(0, slash)}`, { mode: 0o755 });
    await files.writeAtomic(path, file.content, { mode: file.mode });
    if (owner !== undefined) await files.chown(path, owner.uid, owner.gid);
  }
  await replaceLink(files, name, `${folder}/${dataLink}`);
  const wanted = new Set(content.map((file) => file.path.split("/")[0] ?? file.path));
  for (const top of wanted) {
    if (!before.includes(top)) await files.symlink(`${dataLink}/${top}`, `${folder}/${top}`);
  }
  for (const old of before) {
    if (old !== dataLink && old !== name && !wanted.has(old)) await files.remove(`${folder}/${old}`);
  }
}

async function replaceLink(files: Files, target: string, path: string): Promise<void> {
  const next = `${path}_tmp`;
  await files.remove(next);
  await files.symlink(target, next);
  await files.rename(next, path);
}
