/**
 * What a pod's processes see of the machine: an allowlist, never the host's root. A uid opens what that uid owns, with
 * or without capabilities, so whatever is not listed here must not exist in there at all (with `/` mounted read-only, a
 * pod of a root cluster read /etc/shadow).
 */

/** One bind of a host path (`source`) into the container. */
export interface SandboxMount {
  readonly source: string;
  readonly path: string;
  readonly readOnly: boolean;
}

export interface FileSystemSpec {
  /** Folder with the pod's own resolv.conf, hosts, hostname, passwd, group and nsswitch.conf. */
  readonly etc: string;
  /** Node's binary on the host; appears as /opt/node/bin/node. */
  readonly node: string;
  /** Volumes and the image's folders. */
  readonly mounts: readonly SandboxMount[];
  readonly readOnlyRoot: boolean;
}

export const nodeFolder = "/opt/node/bin";

/** Programs and libraries. Links into /usr are bound as what they point to. */
const system = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/** Files of /etc that programs need and that tell nothing about this machine's users or secrets. */
const chosenEtc = [
  "/etc/alternatives",
  "/etc/ca-certificates",
  "/etc/ld.so.cache",
  "/etc/ld.so.conf",
  "/etc/ld.so.conf.d",
  "/etc/localtime",
  "/etc/mime.types",
  "/etc/pki/ca-trust",
  "/etc/pki/tls/certs",
  "/etc/protocols",
  "/etc/services",
  "/etc/ssl/certs",
  "/etc/ssl/openssl.cnf",
];
const ownEtc = ["group", "hostname", "hosts", "nsswitch.conf", "passwd", "resolv.conf"];

/** Covering one of these would take away what the sandbox itself stands on (its /proc, the tools that exec uses). */
const reserved = ["/", "/bin", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt/node", "/proc", "/sbin", "/sys", "/usr"];
const reservedBelow = [
  "/bin/",
  "/dev/",
  "/etc/ld.so.cache",
  "/etc/ld.so.preload",
  "/lib/",
  "/lib64/",
  "/opt/node/",
  "/proc/",
  "/sbin/",
  "/sys/",
  "/usr/bin",
  "/usr/lib",
  "/usr/sbin",
];

/** Why a volume cannot be mounted at `path`; undefined when it can. */
export function mountPathProblem(path: string): string | undefined {
  if (!path.startsWith("/")) return `mountPath ${JSON.stringify(path)} must begin with "/"`;
  if (path.split("/").includes("..")) return `mountPath ${JSON.stringify(path)} must not contain ".."`;
  const clean = cleanPath(path);
  if (path !== "/dev/shm" && (reserved.includes(clean) || reservedBelow.some((prefix) => `${clean}/`.startsWith(prefix)))) {
    return `mountPath ${JSON.stringify(path)} would cover a folder that the sandbox needs; choose one outside of ${reserved.slice(1).join(" ")}`;
  }
  return undefined;
}

/** The options of bubblewrap that make the file system, in the order it carries them out. */
export function fileSystemOptions(spec: FileSystemSpec): string[] {
  const options = ["--ro-bind", "/usr", "/usr"];
  for (const path of system) options.push("--ro-bind-try", path, path);
  // Its own: the pid namespace's processes only, and null zero full random urandom tty ptmx.
  options.push("--proc", "/proc", "--dev", "/dev");
  // The first process is bubblewrap's own and has no system call filter: nobody writes into its memory.
  options.push("--tmpfs", "/proc/1", "--remount-ro", "/proc/1");
  options.push("--perms", "1777", "--tmpfs", "/tmp", "--perms", "1777", "--tmpfs", "/var/tmp", "--perms", "0755", "--tmpfs", "/run");
  options.push("--symlink", "../run", "/var/run");
  options.push("--dir", "/root", "--dir", "/home", "--tmpfs", "/etc");
  for (const path of chosenEtc) options.push("--ro-bind-try", path, path);
  for (const name of ownEtc) options.push("--ro-bind", `${spec.etc}/${name}`, `/etc/${name}`);
  options.push("--ro-bind", spec.node, `${nodeFolder}/node`);
  // Parents before children: a later mount would hide an earlier one below it.
  for (const mount of [...spec.mounts].sort((a, b) => compare(cleanPath(a.path), cleanPath(b.path)))) {
    options.push(mount.readOnly ? "--ro-bind" : "--bind", mount.source, cleanPath(mount.path));
  }
  // Who could write /etc/ld.so.preload would run code in every exec before it gives up its rights.
  options.push("--remount-ro", "/etc");
  if (spec.readOnlyRoot) options.push("--remount-ro", "/");
  return options;
}

export function cleanPath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return `/${parts.join("/")}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
