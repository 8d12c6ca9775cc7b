/**
 * Images of ours for manifests of others: what a ClusterConfig says an image name stands for in the embedded cluster (program,
 * environment, files) becomes an image of that very name. Below each is the same layer: Node, a shell, curl and sleep of
 * this machine, with their libraries.
 */
import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { loadManifests } from "#cli/up/manifests.ts";
import { realHost } from "#host/real/real.ts";
import type { ImageEntry, ImageMap } from "#model/config.ts";
import { findImage } from "#pods/images.ts";
import { withoutSymbols } from "#tools/image/elf.ts";
import { ociArchive, type ImageDescription } from "#tools/image/oci-archive.ts";
import { sharedFiles } from "#tools/image/shared-libraries.ts";
import type { TarEntry } from "#tools/image/tar.ts";
import { root } from "#tools/run-command.ts";

/** A container runtime reads a name without a host as one of this registry; nothing is fetched from there. */
const DEFAULT_REGISTRY = "docker.io";

/** An archive with an image for each name that manifests ask for. */
export async function exampleImages(config: string, names: readonly string[]): Promise<Buffer> {
  const { images } = await loadManifests(realHost().files, root, [config]);
  const base = baseEntries();
  const [first, ...others] = [...new Set(names)].map((name) => describe(name, entryOf(images, name, config), base));
  if (first === undefined) throw new Error("no manifest names an image");
  return ociArchive(first, ...others).bytes;
}

/** Of all containers in the documents. */
export function imagesIn(yaml: string): readonly string[] {
  return [...new Set([...yaml.matchAll(/^\s*(?:- )?image: *["']?([^\s"']+)/gm)].flatMap(([, name]) => (name === undefined ? [] : [name])))];
}

function entryOf(images: ImageMap, name: string, config: string): ImageEntry {
  const found = findImage(images, name);
  if (found === undefined) throw new Error(`${config} has no entry for image ${name}`);
  return found;
}

function describe(name: string, { command, args, env, mounts }: ImageEntry, base: readonly TarEntry[]): ImageDescription {
  const files = (mounts ?? []).flatMap(({ source, path }) => entriesOf(source, path.slice(1)));
  return {
    name: fullName(name),
    architecture: "amd64",
    config: {
      User: "1000:1000",
      Env: ["PATH=/usr/bin", ...Object.entries(env ?? {}).map(([key, value]) => `${key}=${value}`)],
      Entrypoint: [...command, ...(args ?? [])],
      WorkingDir: "/",
      Labels: {},
    },
    layers: [{ what: "programs of this machine", entries: base }, ...(files.length === 0 ? [] : [{ what: "the example", entries: files }])],
  };
}

function fullName(name: string): string {
  const [first = "", ...rest] = name.split("/");
  const hasHost = rest.length > 0 && (first.includes(".") || first.includes(":") || first === "localhost");
  return hasHost ? name : `${DEFAULT_REGISTRY}/${rest.length === 0 ? "library/" : ""}${name}`;
}

function entriesOf(source: string, path: string): readonly TarEntry[] {
  if (!statSync(source).isDirectory()) return [{ path, kind: "file", mode: 0o644, bytes: readFileSync(source) }];
  return readdirSync(source).flatMap((name) => entriesOf(join(source, name), `${path}/${name}`));
}

/** Node, a shell, curl and sleep, with their libraries. */
export function baseEntries(): readonly TarEntry[] {
  const entries = new Map<string, TarEntry>();
  const add = (path: string, bytes: Uint8Array): void => void entries.set(path, { path, kind: "file", mode: 0o755, bytes });
  const programs = { node: process.execPath, curl: "/usr/bin/curl", sleep: "/usr/bin/sleep", sh: "/bin/sh" };
  for (const [name, path] of Object.entries(programs)) {
    const { interpreter, libraries } = sharedFiles(realpathSync(path));
    const bytes = readFileSync(realpathSync(path));
    add(`usr/bin/${name}`, name === "node" ? withoutSymbols(bytes) : bytes);
    if (interpreter !== undefined) add(interpreter.slice(1), readFileSync(realpathSync(interpreter)));
    for (const [library, file] of libraries) add(`lib/x86_64-linux-gnu/${library}`, readFileSync(realpathSync(file)));
  }
  add("bin/sh", readFileSync(realpathSync("/bin/sh")));
  entries.set("etc/passwd", { path: "etc/passwd", kind: "file", mode: 0o644, bytes: Buffer.from("root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n") });
  entries.set("tmp", { path: "tmp", kind: "directory", mode: 0o1777 });
  return [...entries.values()];
}
