import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { type ImageDescription, ociArchive } from "./oci-archive.ts";
import { tar } from "./tar.ts";

const description: ImageDescription = {
  name: "localhost/weft:1.2.3",
  architecture: "amd64",
  config: { User: "65532:65532", Env: ["PATH=/bin"], Entrypoint: ["/bin/weft"], WorkingDir: "/", Labels: {} },
  layers: [
    { what: "lower", entries: [{ path: "bin/node", kind: "file", bytes: Buffer.from("node"), mode: 0o755 }] },
    { what: "upper", entries: [{ path: "bin/weft", kind: "file", bytes: Buffer.from("weft"), mode: 0o755 }] },
  ],
};

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

/** Files of a tar archive without links, by name. */
function files(archive: Buffer): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (let at = 0; archive[at] !== 0;) {
    const name = archive.toString("latin1", at, archive.indexOf(0, at));
    const size = Number.parseInt(archive.toString("latin1", at + 124, at + 135), 8);
    found.set(name, archive.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return found;
}

const archive = ociArchive(description);
const content = files(archive.bytes);
const blob = ({ digest, size }: Descriptor): Buffer => {
  const bytes = content.get(`blobs/${digest.replace(":", "/")}`);
  assert.ok(bytes !== undefined, digest);
  assert.equal(bytes.length, size);
  assert.equal(`sha256:${createHash("sha256").update(bytes).digest("hex")}`, digest);
  return bytes;
};
const parsed = <T>(bytes: Buffer | undefined): T => JSON.parse(String(bytes)) as T;

test("every descriptor leads to a blob of its digest and size, from the index to the layers", () => {
  assert.deepEqual(parsed(content.get("oci-layout")), { imageLayoutVersion: "1.0.0" });
  const index = parsed<{ manifests: (Descriptor & { annotations: Record<string, string> })[] }>(content.get("index.json"));
  const [first, ...others] = index.manifests;
  assert.ok(first !== undefined && others.length === 0);
  assert.equal(first.digest, archive.digest);
  assert.deepEqual(first.annotations, { "io.containerd.image.name": "localhost/weft:1.2.3", "org.opencontainers.image.ref.name": "1.2.3" });
  const manifest = parsed<{ config: Descriptor; layers: Descriptor[] }>(blob(first));
  const image = parsed<{ architecture: string; rootfs: { diff_ids: string[] }; config: unknown }>(blob(manifest.config));
  assert.deepEqual(
    image.rootfs.diff_ids,
    manifest.layers.map(({ digest }) => digest),
  );
  assert.deepEqual(image.config, description.config);
  assert.deepEqual(
    manifest.layers.map(blob),
    description.layers.map(({ entries }) => tar(entries)),
  );
});

test("docker load finds the same configuration and layers", () => {
  const [image] = parsed<{ Config: string; RepoTags: string[]; Layers: string[] }[]>(content.get("manifest.json"));
  assert.deepEqual(image?.RepoTags, ["localhost/weft:1.2.3"]);
  assert.deepEqual(
    image.Layers,
    archive.layers.map(({ digest }) => `blobs/${digest.replace(":", "/")}`),
  );
  assert.equal(parsed<{ architecture: string }>(content.get(image.Config)).architecture, "amd64");
});

test("the same content gives the same bytes", () => assert.deepEqual(ociArchive(structuredClone(description)).bytes, archive.bytes));
