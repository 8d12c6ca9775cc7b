/**
 * Network namespaces bound to files, as `ip netns` makes them. This thread unshares, binds its new namespace to the file
 * and goes home again, all in one turn: no helper process.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { HostError } from "#host/host-error.ts";
import type { Netns } from "#host/netns.ts";
import { lastError, libc } from "./libc.ts";
import { insideNetns, insideNewNetns } from "./network-namespace.ts";

const MS_BIND = 0x1000;
const MNT_DETACH = 2;
/** linux/magic.h */
const NSFS_MAGIC = 0x6e73_6673;
const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
const IFNAMSIZ = 16;

export function realNetns(): Netns {
  return {
    create: async (path) => create(path),
    remove: async (path) => remove(path),
    exists,
    identity,
    sysctl: async (path, key, value) => withSysctl(path, key, `cannot write "${value}"`, (file) => writeFileSync(file, value)),
    readSysctl: async (path, key) => withSysctl(path, key, "cannot be read", (file) => readFileSync(file, "utf8").trim()),
  };
}

function create(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  try {
    closeSync(openSync(path, "wx", 0o444));
  } catch (cause) {
    const { code = "EIO", message } = cause as Error & { code?: string };
    throw new HostError(code, path, `cannot make a network namespace: ${message}`, { cause });
  }
  try {
    insideNewNetns(path, () => {
      if (libc().mount("/proc/thread-self/ns/net", path, "none", MS_BIND, null) < 0) throw lastError(path, "mount");
      raiseLoopback(path);
    });
  } catch (error) {
    remove(path);
    throw error;
  }
}

function raiseLoopback(path: string): void {
  const c = libc();
  const fd = c.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) throw lastError(path, "socket");
  // struct ifreq: the name, then the flags.
  const request = Buffer.alloc(40);
  request.write("lo", "latin1");
  try {
    if (c.ioctl(fd, SIOCGIFFLAGS, request) < 0) throw lastError(`${path}: lo`, "ioctl");
    request.writeUInt16LE(request.readUInt16LE(IFNAMSIZ) | IFF_UP, IFNAMSIZ);
    if (c.ioctl(fd, SIOCSIFFLAGS, request) < 0) throw lastError(`${path}: lo`, "ioctl");
  } finally {
    c.close(fd);
  }
}

/** Also takes away a file that no namespace is bound to. */
function remove(path: string): void {
  libc().umount2(path, MNT_DETACH);
  rmSync(path, { force: true });
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await statfs(path)).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}

async function identity(path: string): Promise<string | undefined> {
  try {
    // nsfs has one inode for a namespace, whoever asks.
    const { dev, ino } = await stat(path);
    return (await exists(path)) ? `${dev}:${ino}` : undefined;
  } catch {
    return undefined;
  }
}

/** "net.ipv4.ip_forward"; "net/ipv4/conf/eth0.1/forwarding" when a name has dots, as sysctl(8) reads it. */
function withSysctl<T>(path: string | undefined, key: string, failed: string, act: (file: string) => T): T {
  const file = `/proc/sys/${key.includes("/") ? key : key.replaceAll(".", "/")}`;
  return insideNetns(path, () => {
    try {
      return act(file);
    } catch (cause) {
      const { code = "EIO", message } = cause as Error & { code?: string };
      throw new HostError(code, path === undefined ? key : `${path}: ${key}`, `${failed}: ${message}`, { cause });
    }
  });
}
