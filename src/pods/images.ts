/** Which program an image name stands for: the image map of the ClusterConfig. There are no registries here. Pure. */
import type { ImageEntry, ImageMap } from "#model/config.ts";

/** The first entry that matches, as the map is written: special cases stand before general ones. */
export function findImage(images: ImageMap, image: string): ImageEntry | undefined {
  return images.find((entry) => globMatches(entry.match, image));
}

/** What a user reads in the container's waiting message and in the event. */
export function imageProblem(image: string): string {
  return (
    `failed to resolve image "${image}": no entry of ClusterConfig spec.images matches it (this cluster runs programs of this machine, it pulls nothing); ` +
    `add one such as {match: "${imageGlob(image)}", command: [...]} to the file given by --config`
  );
}

export function globMatches(glob: string, text: string): boolean {
  // Linear in practice: on a mismatch only the last star is widened.
  let at = 0;
  let star = -1;
  let resume = 0;
  let index = 0;
  while (index < text.length) {
    if (at < glob.length && (glob[at] === "?" || glob[at] === text[index]) && glob[at] !== "*") {
      at++;
      index++;
    } else if (glob[at] === "*") {
      star = at++;
      resume = index;
    } else if (star >= 0) {
      at = star + 1;
      index = ++resume;
    } else {
      return false;
    }
  }
  while (glob[at] === "*") at++;
  return at === glob.length;
}

function imageGlob(image: string): string {
  const colon = image.lastIndexOf(":");
  return colon > image.lastIndexOf("/") ? `${image.slice(0, colon)}:*` : `${image}*`;
}
