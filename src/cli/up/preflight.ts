/** Whether this machine lets Weft make its cluster; when not, the line to run. */
import type { Host } from "#host/host.ts";
import { CliError, type Terminal } from "#cli/context.ts";

/** Program -> Debian package. */
const PROGRAMS: Readonly<Record<string, string>> = {
  ip: "iproute2",
  nft: "nftables",
  bwrap: "bubblewrap",
  unshare: "util-linux",
  nsenter: "util-linux",
  setpriv: "util-linux",
  flock: "util-linux",
  mount: "mount",
};

/** Ordinary users often have no sbin in their PATH, where ip and nft are. */
export function searchPath(terminal: Pick<Terminal, "env">): string {
  const folders = (terminal.env["PATH"] ?? "").split(":").filter((folder) => folder.startsWith("/"));
  return [...new Set([...folders, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])].join(":");
}

export async function requirePrograms(host: Pick<Host, "files">, terminal: Pick<Terminal, "env" | "uid">): Promise<void> {
  const folders = searchPath(terminal).split(":");
  const missing: string[] = [];
  for (const program of Object.keys(PROGRAMS)) {
    const found = await Promise.all(
      folders.map((folder) =>
        // A folder of PATH may be another user's.
        host.files.stat(`${folder}/${program}`).catch(() => undefined),
      ),
    );
    if (found.every((facts) => facts === undefined)) missing.push(program);
  }
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => PROGRAMS[program]))].join(" ");
  const sudo = terminal.uid === 0 ? "" : "sudo ";
  throw new CliError(`this machine has no ${missing.join(", no ")}.\n      Run once:  ${sudo}apt-get install -y ${packages}`);
}

interface Knob {
  readonly file: string;
  readonly forbids: (value: string) => boolean;
  readonly name: string;
  readonly remedy: string;
}

/** Kernel settings that take user namespaces, or the capabilities in them, from ordinary users. */
const KNOBS: readonly Knob[] = [
  {
    file: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    forbids: (value) => value !== "0",
    name: "kernel.apparmor_restrict_unprivileged_userns",
    remedy: "kernel.apparmor_restrict_unprivileged_userns=0",
  },
  {
    file: "/proc/sys/kernel/unprivileged_userns_clone",
    forbids: (value) => value === "0",
    name: "kernel.unprivileged_userns_clone",
    remedy: "kernel.unprivileged_userns_clone=1",
  },
  { file: "/proc/sys/user/max_user_namespaces", forbids: (value) => value === "0", name: "user.max_user_namespaces", remedy: "user.max_user_namespaces=15000" },
];

/** Why the namespaces could not be made: `said` is what unshare, or the first command inside, printed. */
export async function namespaceRefusal(host: Pick<Host, "files">, uid: number, said: string): Promise<string> {
  const detail = said.trim().split("\n").at(-1) ?? "";
  if (uid === 0) {
    return `this machine does not let root make namespaces (${detail}).\n      In a container, run it with --privileged.`;
  }
  for (const knob of KNOBS) {
    const value = await readKnob(host, knob.file);
    if (value === undefined || !knob.forbids(value)) continue;
    return (
      `this machine forbids user namespaces to ordinary users (${knob.name}=${value}).\n` +
      `      Run once:  sudo sysctl -w ${knob.remedy}\n      or run weft as root.`
    );
  }
  return (
    `this machine forbids user namespaces to ordinary users (${detail}).\n` +
    "      In a container, run it with --security-opt seccomp=unconfined --security-opt systempaths=unconfined; else run weft as root."
  );
}

async function readKnob(host: Pick<Host, "files">, file: string): Promise<string | undefined> {
  try {
    return (await host.files.readText(file)).trim();
  } catch {
    return undefined;
  }
}
