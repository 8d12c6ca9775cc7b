/** The image map of a cluster's last start: its pods are still there at the next one, also when that names no files. */
import type { Files } from "#host/files.ts";
import { structurallyEqual } from "#lib/equal.ts";
import type { ImageMap } from "#model/config.ts";
import { CliError } from "#cli/context.ts";

/** New entries come first, so they count; of the remembered ones those stay that no new one replaces. */
export async function rememberImages(files: Files, stateDir: string, given: ImageMap): Promise<ImageMap> {
  const remembered = await readRemembered(files, stateDir);
  const matches = new Set(given.map((image) => image.match));
  const images = [...given, ...remembered.filter((image) => !matches.has(image.match))];
  await files.writeAtomic(imagesFile(stateDir), `${JSON.stringify(images, undefined, 2)}\n`);
  return images;
}

/** What of `given` a cluster that runs does not know, by their globs. */
export async function unknownImages(files: Files, stateDir: string, given: ImageMap): Promise<readonly string[]> {
  const known = await readRemembered(files, stateDir);
  return given.filter((image) => !known.some((each) => structurallyEqual(each, image))).map((image) => image.match);
}

function imagesFile(stateDir: string): string {
  return `${stateDir}/images.json`;
}

async function readRemembered(files: Files, stateDir: string): Promise<ImageMap> {
  const file = imagesFile(stateDir);
  return (await files.stat(file)) === undefined ? [] : readImages(file, await files.readText(file));
}

function readImages(file: string, text: string): ImageMap {
  try {
    return JSON.parse(text) as ImageMap;
  } catch (error) {
    throw new CliError(`${file} is broken (${String(error)}); remove it and give the images again with -f, or forget all of the state with --fresh`, 1);
  }
}
