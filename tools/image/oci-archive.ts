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

export function ociArchive({ name, architecture, config, layers }: ImageDescription): ImageArchive {
  const platform = { architecture, os: "linux" };
  const packed = layers.map(({ what, entries }) => ({ what, blob: blobOf(tar(entries)) }));
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
  const tag = name.slice(name.lastIndexOf(":") + 1);
  const index = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [
      {
        ...descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
        platform,
        annotations: { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag },
      },
    ],
  });
  const docker = json([{ Config: image.path, RepoTags: [name], Layers: packed.map(({ blob }) => blob.path) }]);
  const blobs = [image, manifest, ...packed.map(({ blob }) => blob)];
  const bytes = tar([
    file("oci-layout", json({ imageLayoutVersion: "1.0.0" }).bytes),
    file("index.json", index.bytes),
    file("manifest.json", docker.bytes),
    ...blobs.map((blob) => file(blob.path, blob.bytes)),
  ]);
  return { bytes, digest: manifest.digest, layers: packed.map(({ what, blob }) => ({ what, digest: blob.digest, sizeBytes: blob.bytes.length })) };
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
