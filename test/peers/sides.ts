/**
 * Two proxies side by side: Weft's and Envoy, each run as a user would (`-c FILE`), from bootstraps that differ only in
 * their own paths. Listeners ask for port 0 and admin pages are on Unix sockets, so that tests never meet on a port.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureEnvoy } from "#tools/peers.ts";
import { adminPage } from "./admin-page.ts";

const envoy = ensureEnvoy();
/** For `describe`: a reason when this machine has no Envoy. */
export const skipWithoutEnvoy = "missing" in envoy ? `no Envoy on this machine; to run these tests: ${envoy.install}` : false;

const root = join(import.meta.dirname, "../..");
const READY_MS = 30_000;

/** What the bootstrap of one side is made of. */
export interface SidePlace {
  readonly name: "weft" | "envoy";
  /** For what it writes: access logs. */
  readonly folder: string;
}

export interface Side extends SidePlace {
  readonly child: ChildProcess;
  /** All that it said on standard error. */
  said(): string;
  port(listener: string): number;
  admin(path: string): Promise<string>;
  /** Lines of a file that it writes in its folder. */
  lines(file: string): readonly string[];
}

export interface Sides {
  readonly weft: Side;
  readonly envoy: Side;
  stop(): void;
}

type MakeBootstrap = (place: SidePlace) => object | Promise<object>;

/** `make` gives the bootstrap without `admin`. */
export async function startSides(make: MakeBootstrap): Promise<Sides> {
  if ("missing" in envoy) throw new Error(envoy.install);
  const folder = mkdtempSync(join(tmpdir(), "weft-peer-"));
  const children: ChildProcess[] = [];
  const stop = (): void => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const [weft, other] = await Promise.all([
      startSide({ name: "weft", folder: join(folder, "weft") }, [process.execPath, join(root, "src/bin/proxy.ts")], { make, children }),
      startSide({ name: "envoy", folder: join(folder, "envoy") }, [envoy.path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"], {
        make,
        children,
      }),
    ]);
    return { weft, envoy: other, stop };
  } catch (error) {
    stop();
    throw error;
  }
}

async function startSide(
  place: SidePlace,
  [program = "", ...args]: readonly string[],
  { make, children }: { readonly make: MakeBootstrap; readonly children: ChildProcess[] },
): Promise<Side> {
  const { name, folder } = place;
  mkdirSync(folder, { recursive: true });
  const socket = join(folder, "admin.sock");
  const file = join(folder, "bootstrap.json");
  writeFileSync(file, JSON.stringify({ admin: { address: { pipe: { path: socket } } }, ...(await make(place)) }, undefined, 1));
  const child = spawn(program, [...args, "-c", file], { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  let text = "";
  child.stderr.on("data", (bytes: Buffer) => (text += bytes.toString()));
  const admin = (path: string): Promise<string> => adminPage(socket, path);
  for (const until = Date.now() + READY_MS; !(await admin("/ready").catch(() => "")).includes("LIVE"); await new Promise((done) => setTimeout(done, 30))) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${name} ended: ${text}`);
    if (Date.now() > until) throw new Error(`${name} is not ready: ${text}`);
  }
  const { listener_statuses: listeners = [] } = JSON.parse(await admin("/listeners?format=json")) as ListenersPage;
  const ports = new Map(listeners.map((one) => [one.name, one.local_address.socket_address?.port_value ?? 0]));
  return {
    ...place,
    child,
    admin,
    said: () => text,
    port: (listener) => ports.get(listener) ?? failed(`${name} has no listener "${listener}"`),
    lines: (log) => (existsSync(join(folder, log)) ? readFileSync(join(folder, log), "utf8").split("\n").slice(0, -1) : []),
  };
}

const LOGS_MS = 20_000;

/** Logs are written some time after what they tell: waits until both have the same number of lines, and no more come. */
export async function bothLogs({ weft, envoy }: Sides, file: string): Promise<readonly [readonly string[], readonly string[]]> {
  let before = -1;
  for (const until = Date.now() + LOGS_MS; ; await new Promise((done) => setTimeout(done, 300))) {
    const lines = [weft.lines(file), envoy.lines(file)] as const;
    const isSettled = lines[0].length === lines[1].length && lines[0].length === before;
    if (isSettled || Date.now() > until) return lines;
    before = lines[0].length;
  }
}

interface ListenersPage {
  readonly listener_statuses?: readonly { readonly name: string; readonly local_address: { readonly socket_address?: { readonly port_value: number } } }[];
}

function failed(message: string): never {
  throw new Error(message);
}
