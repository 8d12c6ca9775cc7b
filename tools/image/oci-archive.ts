/**
 * An image archive that container engines of both kinds take: an OCI image layout (oci-layout, index.json; containerd,
 * podman, skopeo) with the list beside it that `docker load` reads (manifest.json). Layers are not compressed: nodes
 * import them from a local file, and the image's size is mostly Node, which is kept once.
 */
import { createHash } from "node:crypto";
import { tar, type TarEntry } from "./tar.ts";

export interface ImageDescription {
  /** "localhost/weft:0.1.0". */
  readonly name: string;
  readonly architecture: "amd64" | "arm64";
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly WorkingDir: string;
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly layers: readonly { readonly what: string; readonly entries: readonly TarEntry[] }[];
}

export interface ImageArchive {
  readonly bytes: Buffer;
  /** Of the image's manifest: what a registry or a node names it by. */
  readonly digest: string;
  readonly layers: readonly { readonly what: string; readonly digest: string; readonly sizeBytes: number }[];
}

/** Images have a date; one that is always the same keeps their bytes the same. */
const CREATED = "1970-01-01T00:00:00Z";

/** Of one image, or of several that share layers: those are in it once. */
export function ociArchive(first: ImageDescription, ...others: readonly ImageDescription[]): ImageArchive {
  const layers = new Map<readonly TarEntry[], Blob>();
  const layerOf = (entries: readonly TarEntry[]): Blob => {
    const known = layers.get(entries) ?? blobOf(tar(entries));
    layers.set(entries, known);
    return known;
  };
  const image = pack(first, layerOf);
  const images = [image, ...others.map((description) => pack(description, layerOf))];
  const index = json({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: images.map(({ listed }) => listed) });
  const docker = json(images.map(({ name, config, packed }) => ({ Config: config.path, RepoTags: [name], Layers: packed.map(({ blob }) => blob.path) })));
  const blobs = new Map(
    images.flatMap(({ config, manifest, packed }) => [config, manifest, ...packed.map(({ blob }) => blob)]).map((blob) => [blob.path, blob]),
  );
  const bytes = tar([
    file("oci-layout", json({ imageLayoutVersion: "1.0.0" }).bytes),
    file("index.json", index.bytes),
    file("manifest.json", docker.bytes),
    ...[...blobs.values()].map((blob) => file(blob.path, blob.bytes)),
  ]);
  const { manifest, packed } = image;
  return { bytes, digest: manifest.digest, layers: packed.map(({ what, blob }) => ({ what, digest: blob.digest, sizeBytes: blob.bytes.length })) };
}

interface PackedImage {
  readonly name: string;
  readonly config: Blob;
  readonly manifest: Blob;
  readonly packed: readonly { readonly what: string; readonly blob: Blob }[];
  /** As the index lists it. */
  readonly listed: object;
}

function pack({ name, architecture, config, layers }: ImageDescription, layerOf: (entries: readonly TarEntry[]) => Blob): PackedImage {
  const platform = { architecture, os: "linux" };
  const packed = layers.map(({ what, entries }) => ({ what, blob: layerOf(entries) }));
  const image = json({
    created: CREATED,
    ...platform,
    config,
    rootfs: { type: "layers", diff_ids: packed.map(({ blob }) => blob.digest) },
    history: packed.map(({ what }) => ({ created: CREATED, created_by: what })),
  });
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: descriptor("application/vnd.oci.image.config.v1+json", image),
    layers: packed.map(({ blob }) => descriptor("application/vnd.oci.image.layer.v1.tar", blob)),
  });
  const annotations = { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.slice(name.lastIndexOf(":") + 1) };
  return { name, config: image, manifest, packed, listed: { ...descriptor("application/vnd.oci.image.manifest.v1+json", manifest), platform, annotations } };
}

interface Blob {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly path: string;
}

function blobOf(bytes: Buffer): Blob {
  const hash = createHash("sha256").update(bytes).digest("hex");
  return { bytes, digest: `sha256:${hash}`, path: `blobs/sha256/${hash}` };
}

function json(value: unknown): Blob {
  return blobOf(Buffer.from(JSON.stringify(value)));
}

function descriptor(mediaType: string, { digest, bytes }: Blob): { readonly mediaType: string; readonly digest: string; readonly size: number } {
  return { mediaType, digest, size: bytes.length };
}

function file(path: string, bytes: Buffer): TarEntry {
  return { path, kind: "file", bytes, mode: 0o644 };
}
