/** How to reach an API server: from a kubeconfig, or from inside a pod of a real cluster. */
import { dirname, isAbsolute, join } from "node:path";
import { parse } from "yaml";
import type { Clock } from "#host/clock.ts";
import type { Files } from "#host/files.ts";
import { HostError } from "#host/host-error.ts";

export interface ApiAccess {
  /** https://host:port, without a path. */
  readonly url: string;
  /** PEM texts. */
  readonly tls?: {
    readonly ca?: string;
    readonly certificate?: string;
    readonly privateKey?: string;
    readonly serverName?: string;
    readonly insecure?: boolean;
  };
  /** PEM; asked before each request, because those who sign are rotated, too. Absent: tls.ca is, and stays. */
  readonly ca?: () => Promise<string>;
  /** Asked before each request: tokens are rotated. */
  readonly token?: () => Promise<string>;
}

export interface KubeAccess extends ApiAccess {
  /** Of the context. */
  readonly namespace: string;
}

interface Cluster {
  readonly server?: string;
  readonly "certificate-authority"?: string;
  readonly "certificate-authority-data"?: string;
  readonly "tls-server-name"?: string;
  readonly "insecure-skip-tls-verify"?: boolean;
}

interface User {
  readonly "client-certificate"?: string;
  readonly "client-certificate-data"?: string;
  readonly "client-key"?: string;
  readonly "client-key-data"?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly exec?: unknown;
  readonly "auth-provider"?: unknown;
}

interface Context {
  readonly cluster?: string;
  readonly user?: string;
  readonly namespace?: string;
}

/** Where every pod finds who it is to the API server. */
const ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";
/** A token is replaced long before it ends (a fifth of its life), a root long before its successor signs: neither need be read before each request. */
const KEPT_MS = 60_000;

interface KeepingHost {
  readonly files: Pick<Files, "readText">;
  readonly clock: Pick<Clock, "monotonic">;
}

/** As a pod's own service account. `url` comes from configuration: what the network is made of cannot need Services itself. */
export async function inClusterAccess(
  host: KeepingHost,
  { url, folder = ACCOUNT_FOLDER }: { readonly url: string; readonly folder?: string },
): Promise<KubeAccess> {
  const ca = keptText(host, `${folder}/ca.crt`);
  const [namespace] = await Promise.all([host.files.readText(`${folder}/namespace`), ca()]);
  const token = keptText(host, `${folder}/token`);
  return { url: url.replace(/\/+$/, ""), namespace: namespace.trim(), ca, token: async () => (await token()).trim() };
}

/** kubelet replaces the file at once, whole. One that cannot be read now has an older content that may still do. */
function keptText(host: KeepingHost, path: string): () => Promise<string> {
  let kept: { readonly text: string; readonly atMs: number } | undefined;
  return async () => {
    const now = host.clock.monotonic();
    if (kept !== undefined && now - kept.atMs < KEPT_MS) return kept.text;
    const before = kept;
    const text = await host.files.readText(path).catch((error: unknown) => {
      if (before === undefined) throw error;
      return before.text;
    });
    kept = { text, atMs: now };
    return text;
  };
}

/** Reads a kubeconfig file; `context` default: its current-context. Throws HostError that names the file and what it lacks. */
export async function readKubeconfig(files: Pick<Files, "readText">, path: string, context?: string): Promise<KubeAccess> {
  const fail = (message: string) => new HostError("ERR_WEFT_KUBECONFIG", path, message);
  const config = parseConfig(await files.readText(path), fail);
  const wanted = context ?? config["current-context"];
  if (typeof wanted !== "string" || wanted === "") throw fail("names no current-context; choose one with --context");
  const chosen = named<Context>(config, "contexts", "context", wanted);
  if (chosen === undefined) throw fail(`has no context ${JSON.stringify(wanted)}`);
  const cluster = named<Cluster>(config, "clusters", "cluster", chosen.cluster);
  if (cluster?.server === undefined) throw fail(`has no cluster ${JSON.stringify(chosen.cluster)} with a server, which context ${JSON.stringify(wanted)} uses`);
  const user = named<User>(config, "users", "user", chosen.user) ?? {};
  if (user.exec !== undefined || user["auth-provider"] !== undefined) {
    throw fail(`user ${JSON.stringify(chosen.user)} logs in through a plugin, which Weft does not run; use a client certificate or a token`);
  }
  const load = async (data: string | undefined, file: string | undefined): Promise<string | undefined> => {
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    return file === undefined ? undefined : files.readText(isAbsolute(file) ? file : join(dirname(path), file));
  };
  const tls = {
    ca: await load(cluster["certificate-authority-data"], cluster["certificate-authority"]),
    certificate: await load(user["client-certificate-data"], user["client-certificate"]),
    privateKey: await load(user["client-key-data"], user["client-key"]),
    serverName: cluster["tls-server-name"],
    insecure: cluster["insecure-skip-tls-verify"],
  };
  return {
    url: cluster.server.replace(/\/+$/, ""),
    namespace: chosen.namespace ?? "default",
    tls: Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined)),
    ...tokenOf(files, user),
  };
}

function parseConfig(text: string, fail: (message: string) => HostError): Readonly<Record<string, unknown>> {
  try {
    return (parse(text) ?? {}) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw fail(`is no YAML: ${(cause as Error).message.split("\n")[0] ?? ""}`);
  }
}

function named<T>(config: Readonly<Record<string, unknown>>, list: string, key: string, name: string | undefined): T | undefined {
  const entries = Array.isArray(config[list]) ? (config[list] as readonly Readonly<Record<string, unknown>>[]) : [];
  return entries.find((entry) => entry["name"] === name)?.[key] as T | undefined;
}

function tokenOf(files: Pick<Files, "readText">, { token, tokenFile }: User): Pick<ApiAccess, "token"> {
  if (token !== undefined) return { token: () => Promise.resolve(token) };
  return tokenFile === undefined ? {} : { token: () => tokenFrom(files, tokenFile) };
}

async function tokenFrom(files: Pick<Files, "readText">, path: string): Promise<string> {
  return (await files.readText(path)).trim();
}
