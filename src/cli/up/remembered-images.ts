/** The image map of a cluster's last start: its pods are still there at the next one, also when that names no files. */
import type { Files } from "#host/files.ts";
import type { ImageMap } from "#model/config.ts";
import { CliError } from "#cli/context.ts";

/** New entries come first, so they count; of the remembered ones those stay that no new one replaces. */
export async function rememberImages(files: Files, stateDir: string, given: ImageMap): Promise<ImageMap> {
  const file = `${stateDir}/images.json`;
  const remembered = (await files.stat(file)) === undefined ? [] : readImages(file, await files.readText(file));
  const matches = new Set(given.map((image) => image.match));
  const images = [...given, ...remembered.filter((image) => !matches.has(image.match))];
  await files.writeAtomic(file, `${JSON.stringify(images, undefined, 2)}\n`);
  return images;
}

function readImages(file: string, text: string): ImageMap {
  try {
    return JSON.parse(text) as ImageMap;
  } catch (error) {
    throw new CliError(`${file} is broken (${String(error)}); remove it and give the images again with -f, or forget all of the state with --fresh`, 1);
  }
}
