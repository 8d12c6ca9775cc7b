/**
 * The cluster's programs in one file each (dist/), made from the sources when these changed. Started from TypeScript a
 * proxy took 1.6 s and 191 MB here, bundled 0.45 s and 107 MB (2026-11-21, machine under load): what `weft up` starts
 * by the dozen must be the cheap kind. Where nothing can be made (a read-only checkout, no esbuild), a bundle of
 * other sources is not used: programs then start from the sources.
 */
import { createHash } from "node:crypto";
import type { Host } from "#host/host.ts";
import type { Terminal } from "#cli/context.ts";
import { programFile, type ProgramFolder } from "#model/config.ts";

/** What `weft up` starts. */
const CLUSTER_PROGRAMS = ["supervisor", "control", "agent", "pods", "proxy", "cni"];
/** What the image for Kubernetes has (tools/image): its entry, and what that starts by its first argument. */
export const IMAGE_PROGRAMS = ["image-entry", "kubernetes-control", "kubernetes-agent", "node-names", "sidecar", "proxy", "weft"] as const;
/** CommonJS dependencies call `require` of Node's own modules; a bundle that is a module has none of its own. */
const BANNER = 'import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);';

/** esbuild's first message and where in which file; a stack of its own program follows. */
const REASON_LINES = 3;

type BundlingHost = Pick<Host, "files" | "processes">;

/** The terminal says, in one line, when programs will start more slowly than they could. */
export async function bundledPrograms(host: BundlingHost, terminal: Pick<Terminal, "sourceRoot" | "pid" | "err">): Promise<ProgramFolder> {
  const { sourceRoot } = terminal;
  const sources: ProgramFolder = { folder: `${sourceRoot}/src/bin`, extension: "ts" };
  const bundles: ProgramFolder = { folder: `${sourceRoot}/dist`, extension: "mjs" };
  const { files } = host;
  const stamp = `${bundles.folder}/sources.sha256`;
  const digest = await digestOf(host, sourceRoot);
  if ((await files.readText(stamp).catch(() => "")) === digest) return bundles;
  const esbuild = `${sourceRoot}/node_modules/.bin/esbuild`;
  if ((await files.stat(esbuild)) === undefined) return sources;
  // Of this process: several clusters may start at once from one checkout.
  const unfinished = `${bundles.folder}/${terminal.pid}.new`;
  try {
    await files.makeDirectory(unfinished);
    await bundle(host, { esbuild, sourceRoot, programs: CLUSTER_PROGRAMS, into: unfinished });
    // Renamed one by one: a cluster that is running starts whole files, old or new.
    for (const name of CLUSTER_PROGRAMS) await files.rename(`${unfinished}/${name}.mjs`, programFile(bundles, name));
    await files.writeAtomic(stamp, digest);
    return bundles;
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).trim().split("\n", REASON_LINES).join("\n");
    terminal.err(`weft: programs start from their sources, more slowly, because they cannot be bundled into ${bundles.folder}: ${reason}\n`);
    return sources;
  } finally {
    await files.remove(unfinished).catch(() => undefined);
  }
}

interface Bundling {
  readonly esbuild: string;
  readonly sourceRoot: string;
  readonly programs: readonly string[];
  readonly into: string;
}

/** NAME.mjs of each program, cni.cjs, and grpc-js.cjs, which programs load when they first need it; throws with the bundler's words. */
export async function bundleForImage(host: BundlingHost, { sourceRoot, into }: Pick<Bundling, "sourceRoot" | "into">): Promise<void> {
  const esbuild = `${sourceRoot}/node_modules/.bin/esbuild`;
  await host.files.makeDirectory(into);
  await bundle(host, { esbuild, sourceRoot, programs: IMAGE_PROGRAMS, into });
  const grpc = `${sourceRoot}/node_modules/@grpc/grpc-js/build/src/index.js`;
  await run(host, sourceRoot, [esbuild, grpc, ...COMMON_OPTIONS, "--format=cjs", `--outfile=${into}/grpc-js.cjs`]);
  // Loads faster than a module, and pods wait for it (docs/adr/0008).
  await run(host, sourceRoot, [esbuild, `${sourceRoot}/src/bin/cni.ts`, ...COMMON_OPTIONS, "--format=cjs", `--outfile=${into}/cni.cjs`]);
}

// Syntax is minified for one thing: a constant's number stands where it is used, which hot loops feel.
const COMMON_OPTIONS = ["--bundle", "--minify-syntax", "--platform=node", "--target=node24", "--log-level=error"];

async function bundle(host: BundlingHost, { esbuild, sourceRoot, programs, into }: Bundling): Promise<void> {
  const entries = programs.map((name) => `${sourceRoot}/src/bin/${name}.ts`);
  const options = [...COMMON_OPTIONS, "--format=esm", "--out-extension:.js=.mjs", `--outdir=${into}`];
  // koffi finds its native part from where it lies.
  const outside = ["--external:koffi", `--inject:${sourceRoot}/src/run/flush-compile-cache.ts`, `--banner:js=${BANNER}`];
  await run(host, sourceRoot, [esbuild, ...entries, ...options, ...outside]);
}

async function run({ processes }: BundlingHost, sourceRoot: string, command: readonly [string, ...string[]]): Promise<void> {
  const made = await processes.run(command, { cwd: sourceRoot });
  if (made.code !== 0) throw new Error(made.stderr);
}

/** Of everything that a bundle is made from: the sources, and the locked dependencies. */
async function digestOf({ files }: BundlingHost, sourceRoot: string): Promise<string> {
  const hash = createHash("sha256");
  const add = async (folder: string): Promise<void> => {
    for (const name of await files.list(folder)) {
      const path = `${folder}/${name}`;
      if (name.endsWith(".ts")) {
        if (!name.endsWith(".test.ts")) hash.update(path.slice(sourceRoot.length)).update(await files.read(path));
      } else if (!name.includes(".")) await add(path);
    }
  };
  await add(`${sourceRoot}/src`);
  hash.update(await files.read(`${sourceRoot}/package-lock.json`).catch(() => new Uint8Array()));
  return hash.digest("hex");
}
