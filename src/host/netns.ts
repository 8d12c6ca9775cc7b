/** Network namespaces, bound to files so that they live without a process. */
export interface Netns {
  /** Makes a namespace and binds it at `path`; its loopback is up. */
  create(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Tells one namespace from another, whatever names it (its file, or "/proc/123/ns/net"); undefined: there is none. */
  identity(path: string): Promise<string | undefined>;
  /** Writes a sysctl inside the namespace ("net.ipv4.ip_forward" -> "1"); `path` undefined: our own namespace. */
  sysctl(path: string | undefined, key: string, value: string): Promise<void>;
  /** What it is now, without the end of its line. */
  readSysctl(path: string | undefined, key: string): Promise<string>;
}
