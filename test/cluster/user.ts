/** The users that a cluster is tried as: ourselves, and an ordinary one, from a checkout that it can read. */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const checkout = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const ORDINARY_UID = 65534;

export interface User {
  readonly name: string;
  readonly uid: number;
  /** Goes before a command. */
  readonly prefix: readonly string[];
  readonly checkout: string;
  /** A new folder of the user's. */
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
  cleanUp(): void;
}

/** Root only when we are; the ordinary user always. */
export const users: readonly { readonly name: string; readonly make: () => User }[] =
  process.getuid?.() === 0
    ? [
        { name: "root", make: () => user("root", []) },
        {
          name: "an ordinary user",
          make: () => user("an ordinary user", ["setpriv", `--reuid=${ORDINARY_UID}`, `--regid=${ORDINARY_UID}`, "--clear-groups", "--"]),
        },
      ]
    : [{ name: "an ordinary user", make: () => user("an ordinary user", []) }];

function user(name: string, prefix: readonly string[]): User {
  const base = mkdtempSync(join(tmpdir(), "weft-user-"));
  chmodSync(base, 0o755);
  const home = join(base, "home");
  mkdirSync(home);
  if (prefix.length > 0) chownSync(home, ORDINARY_UID, ORDINARY_UID);
  const own = readableCheckout(prefix, base);
  // Compiled code is kept between runs, as it is on a person's machine.
  const env = {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    HOME: home,
    XDG_STATE_HOME: join(home, "state"),
    XDG_CACHE_HOME: join(home, "cache"),
    TMPDIR: join(home, "tmp"),
  };
  mkdirSync(env.TMPDIR);
  if (prefix.length > 0) chownSync(env.TMPDIR, ORDINARY_UID, ORDINARY_UID);
  return {
    name,
    uid: prefix.length > 0 ? ORDINARY_UID : (process.getuid?.() ?? 0),
    prefix,
    checkout: own,
    home,
    env,
    cleanUp: () => rmSync(base, { recursive: true, force: true }),
  };
}

/** The checkout itself when the user can read it, else a copy with what a cluster needs. */
function readableCheckout(prefix: readonly string[], base: string): string {
  const [program, ...args] = [...prefix, "test", "-r", join(checkout, "package.json"), "-a", "-x", join(checkout, "node_modules")];
  if (spawnSync(program ?? "test", args).status === 0) return checkout;
  const copy = join(base, "checkout");
  mkdirSync(copy);
  for (const part of ["src", "examples", "test", "tools", "weft", "package.json", "README.md"])
    if (existsSync(join(checkout, part))) cpSync(join(checkout, part), join(copy, part), { recursive: true });
  // Links where the file system allows them: the dependencies are large.
  const linked = spawnSync("cp", ["-al", join(checkout, "node_modules"), join(copy, "node_modules")]).status === 0;
  if (!linked) spawnSync("cp", ["-a", join(checkout, "node_modules"), copy], { stdio: "inherit" });
  return copy;
}
