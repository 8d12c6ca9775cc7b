/** The image's upper layer, which changes with every commit: the programs' bundles, the command `weft`, and the CNI plugin's folder. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { IMAGE_PROGRAMS } from "#cli/up/bundled-programs.ts";
import { type CniRuntime, digestOf } from "./base-layer.ts";
import { launcher } from "./launcher.ts";
import type { TarEntry } from "./tar.ts";

/** In the image; the agent copies what is in it to the node's /opt/cni/bin as it is: folders first, weft-cni last. */
const CNI_FOLDER = "opt/weft/cni";
/** Where it then is: the launcher must know, because it stands alone. */
const CNI_ON_NODE = "/opt/cni/bin/weft-cni.d";

/** `bundles`: where NAME.mjs of each program, cni.cjs and grpc-js.cjs were made. */
export function programLayer(bundles: string, runtime: CniRuntime): readonly TarEntry[] {
  const cni = readFileSync(join(bundles, "cni.cjs"));
  const script = `cni-${digestOf([{ path: "cni.cjs", bytes: cni }])}.cjs`;
  const onNode = `${CNI_ON_NODE}/node-${runtime.digest}`;
  return [
    ...IMAGE_PROGRAMS.map((name): TarEntry => ({ path: `opt/weft/${name}.mjs`, kind: "file", bytes: readFileSync(join(bundles, `${name}.mjs`)), mode: 0o644 })),
    // By the name that host/real/rpc.ts requires.
    { path: "opt/weft/node_modules/@grpc/grpc-js/index.js", kind: "file", bytes: readFileSync(join(bundles, "grpc-js.cjs")), mode: 0o644 },
    { path: "usr/local/bin/weft", kind: "file", bytes: Buffer.from(ENTRY), mode: 0o755 },
    { path: `${CNI_FOLDER}/weft-cni.d/${script}`, kind: "file", bytes: cni, mode: 0o644 },
    {
      path: `${CNI_FOLDER}/weft-cni`,
      kind: "file",
      mode: 0o755,
      bytes: launcher({
        program: `${onNode}/ld.so`,
        args: ["--library-path", onNode, `${onNode}/node`, `${CNI_ON_NODE}/${script}`],
        failure: `${JSON.stringify({ cniVersion: "1.0.0", code: 100, msg: `${onNode}/ld.so cannot be started; the agent of this node puts it there when it starts: restart it` })}\n`,
      }),
    },
  ];
}

/** Names of the base layer's own files: nothing is there twice. */
export function cniRuntimeLinks({ digest, node, interpreter, libraries }: CniRuntime): readonly TarEntry[] {
  const folder = `${CNI_FOLDER}/weft-cni.d/node-${digest}`;
  const link = (name: string, target: string): TarEntry => ({ path: `${folder}/${name}`, kind: "link", target });
  return [link("node", node), link("ld.so", interpreter), ...libraries.map((path) => link(path.slice(path.lastIndexOf("/") + 1), path))];
}

/** Node reads the first line as a comment. */
const ENTRY = '#!/opt/weft/bin/node\nimport("/opt/weft/image-entry.mjs");\n';
