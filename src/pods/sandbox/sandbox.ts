/**
 * The command that starts a container's process so that it cannot get out. Pure: what it returns is all there is, and
 * test/pods/escape.test.ts runs it and tries to get out.
 *
 * In this order: the pod's network namespace is joined while we still may (it belongs to the cluster's user namespace, so
 * nobody in the container has rights over it, uid 0 included); a cluster of root gives up root for a host uid of the pod's
 * own; bubblewrap makes a child user namespace with one mapped uid, pid, mount, ipc, uts and cgroup namespaces, an allowlist
 * of a file system, no capabilities, no_new_privs, no further user namespaces, and a system call filter.
 */
import { fileSystemOptions, nodeFolder, type FileSystemSpec } from "./file-system.ts";

export interface SandboxSpec extends FileSystemSpec {
  /** File of the pod's network namespace. */
  readonly netns: string;
  readonly hostname: string;
  /** As the container sees itself (securityContext.runAsUser, runAsGroup). */
  readonly uid: number;
  readonly gid: number;
  /** On the host, when root runs the cluster; undefined: the ordinary user that runs it. */
  readonly hostUid: number | undefined;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
}

/** Files that connect the launched process with the runtime. */
export interface LaunchFiles {
  /** bubblewrap appends JSON lines: child-pid and namespaces when it started, exit-code at the end. */
  readonly status: string;
  /** NUL-separated options: on the command line every process of the pod could read the host's paths. */
  readonly options: string;
  readonly seccomp: string;
}

export const defaultPath = `${nodeFolder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;

/** What goes into `LaunchFiles.options`. */
export function sandboxOptions(spec: SandboxSpec): string[] {
  const options = ["--unshare-user", "--uid", String(spec.uid), "--gid", String(spec.gid)];
  options.push("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", spec.hostname);
  options.push("--disable-userns", "--cap-drop", "ALL");
  // A session of its own: no characters pushed into a terminal that the runtime might have.
  options.push("--new-session");
  options.push("--clearenv");
  for (const [name, value] of Object.entries({ PATH: defaultPath, HOME: spec.uid === 0 ? "/root" : "/", HOSTNAME: spec.hostname, ...spec.env })) {
    options.push("--setenv", name, value);
  }
  options.push(...fileSystemOptions(spec), "--chdir", spec.workingDirectory);
  return options;
}

/** The argv to spawn. Its environment must be `launchEnvironment`: a pod's LD_PRELOAD would act outside of the sandbox. */
export function sandboxCommand(spec: SandboxSpec, files: LaunchFiles): [string, ...string[]] {
  const script = 'exec 3>>"$1" 4<"$2" 5<"$3"; shift 3; exec "$@"';
  return [
    "/bin/sh",
    "-c",
    script,
    "weft-sandbox",
    files.status,
    files.options,
    files.seccomp,
    ...inNetworkNamespace(spec.netns),
    ...withHostUid(spec.hostUid),
    "bwrap",
    "--json-status-fd",
    "3",
    "--args",
    "4",
    "--seccomp",
    "5",
    "--",
    ...spec.command,
  ];
}

export const launchEnvironment: Readonly<Record<string, string>> = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };

function inNetworkNamespace(netns: string): string[] {
  return ["nsenter", `--net=${netns}`, "--"];
}

function withHostUid(hostUid: number | undefined): string[] {
  if (hostUid === undefined) return [];
  return ["setpriv", `--reuid=${hostUid}`, `--regid=${hostUid}`, "--clear-groups", "--inh-caps=-all", "--"];
}

export interface EnterSpec {
  /** A process inside the container, as the runtime sees it (not bubblewrap's own first process: that one is outside of some). */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly hostUid: number | undefined;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** File of the system call filter. */
  readonly seccomp: string;
  /** Standard input is a terminal, to be that of the command's session (seen from outside, its process groups would not exist). */
  readonly terminal: boolean;
}

/** The argv that runs one more command in a running container (exec, exec probes, preStop), with no more rights than its own. */
export function enterCommand(spec: EnterSpec): [string, ...string[]] {
  const credentials = spec.hostUid === undefined ? ["--preserve-credentials"] : ["--setuid", String(spec.uid), "--setgid", String(spec.gid)];
  const environment = Object.entries({ PATH: defaultPath, HOME: spec.uid === 0 ? "/root" : "/", ...spec.env }).map(([name, value]) => `${name}=${value}`);
  return [
    "/bin/sh",
    "-c",
    'exec 5<"$1"; shift; exec "$@"',
    "weft-enter",
    spec.seccomp,
    // Only for the filter: installed before the namespaces are joined, because nothing in there could install it.
    ...["bwrap", "--dev-bind", "/", "/", "--cap-add", "ALL", "--die-with-parent", "--seccomp", "5", "--"],
    "nsenter",
    "--target",
    String(spec.pid),
    "--user",
    "--mount",
    "--pid",
    "--ipc",
    "--uts",
    "--net",
    "--cgroup",
    ...credentials,
    "--",
    // Joining a user namespace gives every capability in it: away with them before anything of the pod's runs.
    "/usr/bin/setpriv",
    "--no-new-privs",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    // When whoever asked has gone or its time is over, the command goes too.
    "--pdeathsig=KILL",
    "--",
    ...(spec.terminal ? ["/usr/bin/setsid", "--ctty", "--"] : []),
    "/usr/bin/env",
    "-i",
    `--chdir=${spec.workingDirectory}`,
    ...environment,
    ...spec.command,
  ];
}
