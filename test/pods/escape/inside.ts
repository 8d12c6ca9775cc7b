/**
 * Runs in the namespaces that a cluster has (escape.test.ts makes them): builds two pods' surroundings with the product's
 * own sandbox, tries every attempt from a container of one and by exec into it, and outside of the sandbox as control.
 * Prints one JSON object.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { compileInterception } from "#compile/interception/interception.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { wirePod } from "#compile/routes/routes.ts";
import { realHost } from "#host/real/real.ts";
import type { Pod } from "#model/core.ts";
import { podEtc } from "#pods/pod-etc.ts";
import { seccompFilter } from "#pods/sandbox/seccomp.ts";
import { enterCommand, launchEnvironment, sandboxCommand, sandboxOptions, type SandboxSpec } from "#pods/sandbox/sandbox.ts";
import { writeTable } from "#wire/nft/write.ts";
import { attemptScript } from "./attempts.ts";

export interface Findings {
  /** By "uid how" ("1337 exec", "control"): the status of each attempt. */
  readonly runs: Readonly<Record<string, readonly number[]>>;
  readonly neighbourLives: boolean;
}

const [base = "", asked] = process.argv.slice(2);
const kind = asked === "root" ? "root" : "ordinary";
const host = realHost();
/** As the runtime gives: a uid of the pod's own in a cluster of root. */
const hostUid = kind === "root" ? 100_000 : undefined;
const marker = String(process.pid);

const folder = (name: string): string => `${base}/sandboxes/${name}`;
const netns = (name: string): string => `${base}/netns/pod-${name}`;
const socket = (name: string): string => `${base}/pods/${name}/xds.sock`;

async function run(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number; readonly output: string; readonly errors: string }> {
  const [program = "", ...args] = command;
  const { code, stdout, stderr } = await host.processes.run([program, ...args], { env });
  return { code, output: stdout, errors: stderr };
}

async function makePod(name: string): Promise<void> {
  mkdirSync(`${folder(name)}/volumes/v`, { recursive: true });
  mkdirSync(`${folder(name)}/etc`, { recursive: true });
  writeFileSync(`${folder(name)}/volumes/v/file`, "SECRET of the volume\n");
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default" }, spec: { containers: [] } };
  const etc = podEtc(pod, { podIP: "10.0.0.7", dnsAddress: "10.96.0.10", uids: [1337], gids: [1337] });
  for (const [file, content] of Object.entries(etc)) writeFileSync(`${folder(name)}/etc/${file}`, content);
  mkdirSync(`${base}/pods/${name}`, { recursive: true, mode: 0o700 });
  if (hostUid !== undefined) chownSync(`${base}/pods/${name}`, hostUid + 1, hostUid + 1);
  await host.netns.create(netns(name));
  await host.netns.sysctl(netns(name), "net.ipv4.ip_unprivileged_port_start", "0");
  await must(["nsenter", `--net=${netns(name)}`, "sh", "-ec", "ip link set lo up; ip address add 10.0.0.7/32 dev lo"]);
  await new Promise<void>((resolve) => createServer((connection) => connection.end("SVID\n")).listen(socket(name), resolve));
  chmodSync(socket(name), 0o666);
}

const meshed: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "attacker", namespace: "default" },
  spec: { containers: [{ name: "app" }, { name: "istio-proxy" }] },
};
const server = "10.0.1.1";
const server6 = "fd00:10::1";

/** A server on the pod's link, and the product's own rules, with a listener in the place of the proxy. */
async function makeNeighbourhood(name: string): Promise<void> {
  const beside = netns("server");
  await host.netns.create(beside);
  const inside = ["nsenter", `--net=${netns(name)}`, "sh", "-ec"];
  await must([...inside, `ip link add eth0 type veth peer name eth0 netns "$0"; ip link set eth0 up; ip route add ${server} dev eth0 src 10.0.0.7`, beside]);
  await must([
    "nsenter",
    `--net=${beside}`,
    "sh",
    "-ec",
    `ip link set eth0 up; ip address add ${server}/32 dev eth0; ip -6 address add ${server6}/64 dev eth0 nodad; ip route add 10.0.0.7 dev eth0`,
  ]);
  const { sysctls, tables } = wirePod(
    { uid: name, namespace: "default", name, ip: "10.0.0.7" },
    DEFAULT_SETTINGS,
    compileInterception(meshed, DEFAULT_SETTINGS.proxyKnownBy).tables,
  ).inside;
  for (const { key, value } of sysctls) await host.netns.sysctl(netns(name), key, value);
  for (const table of tables) await host.nft.apply(writeTable(table), netns(name));
  const say = (words: string, place: string, port: number, ip = "0.0.0.0") =>
    host.net.listen({ address: { ip, port }, netns: place }, (connection) => {
      connection.handle({ onData() {}, onClose() {} });
      connection.write(`${words}\n`);
      connection.end();
    });
  await say("PROXIED", netns(name), 15001);
  await say("PROXIED", netns(name), 15006);
  await say("DIRECT", beside, 8080);
  await say("DIRECT", beside, 8080, server6);
}

async function must(command: readonly string[]): Promise<void> {
  const { code, errors } = await run(command, launchEnvironment);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${errors}`);
}

function sandbox(name: string, uid: number, command: readonly string[], env: Readonly<Record<string, string>>): SandboxSpec {
  return {
    netns: netns(name),
    hostname: name,
    uid,
    gid: uid,
    hostUid,
    command,
    env,
    workingDirectory: "/",
    etc: `${folder(name)}/etc`,
    node: process.execPath,
    mounts: [{ source: `${folder(name)}/volumes/v`, path: "/var/data", readOnly: true }],
    readOnlyRoot: false,
  };
}

const abstractServer =
  '$| = 1; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un("\\0weft-victim")) && listen(S, 5) or die; print "up\\n"; while (accept(C, S)) { syswrite C, "SVID\\n"; close C }';

let launches = 0;

/** argv of a container, and its status file. */
function launch(spec: SandboxSpec): { readonly command: readonly string[]; readonly status: string } {
  const file = `${base}/launch-${launches++}`;
  writeFileSync(`${file}.options`, `${sandboxOptions(spec).join("\0")}\0`);
  return { command: sandboxCommand(spec, { status: `${file}.status`, options: `${file}.options`, seccomp: `${base}/seccomp` }), status: `${file}.status` };
}

async function mainPid(status: string): Promise<{ readonly init: number; readonly main: number }> {
  for (let tries = 0; tries < 400; tries++) {
    const text = await host.files.readText(status).catch(() => "");
    const init = /"child-pid": (\d+)/.exec(text)?.[1];
    const main = init === undefined ? "" : (await host.files.readText(`/proc/${init}/task/${init}/children`).catch(() => "")).trim();
    if (init !== undefined && main !== "") return { init: Number(init), main: Number(main.split(" ")[0]) };
    await host.clock.sleep(10);
  }
  throw new Error(`nothing started: ${status}`);
}

function start(spec: SandboxSpec): { readonly child: ChildProcess; readonly status: string } {
  const { command, status } = launch(spec);
  const [program = "", ...args] = command;
  return { child: spawn(program, args, { env: launchEnvironment, stdio: "ignore" }), status };
}

function statuses(output: string): number[] {
  const found: number[] = [];
  for (const line of output.trim().split("\n")) {
    const [index, status] = line.split(" ").map(Number);
    if (index !== undefined && status !== undefined) found[index] = status;
  }
  return found;
}

async function tryAll(): Promise<Findings> {
  mkdirSync(`${base}/netns`, { recursive: true });
  mkdirSync(`${base}/secrets`, { mode: 0o700 });
  writeFileSync(`${base}/secrets/mesh-ca.key`, "SECRET key\n", { mode: 0o600 });
  writeFileSync(`${base}/seccomp`, seccompFilter());
  await makePod("victim");
  await makePod("attacker");
  await makeNeighbourhood("attacker");
  // In the victim's network namespace, where abstract names live.
  const abstract = spawn("nsenter", [`--net=${netns("victim")}`, "perl", "-MSocket", "-e", abstractServer], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => abstract.stdout.once("data", resolve));

  // So that the neighbour's process ids are not by chance those of the attacker's own processes.
  writeFileSync("/proc/sys/kernel/ns_last_pid", "20000");
  const neighbour = start(sandbox("victim", 0, ["sh", "-c", `: neighbour-${marker}; while :; do sleep 100; done`], {}));
  const { init, main } = await mainPid(neighbour.status);
  const env = {
    SECRETS: `${base}/secrets`,
    OTHER_FOLDER: folder("victim"),
    OTHER_SOCKET: socket("victim"),
    OWN_SOCKET: socket("attacker"),
    OTHER_NETNS: netns("victim"),
    NETNS: `${base}/netns`,
    SERVER: server,
    SERVER6: server6,
    NEIGHBOURS: `${init} ${main} ${neighbour.child.pid ?? 0}`,
    MARKER: marker,
  };
  const runs: Record<string, readonly number[]> = {};
  const tryAs = async (uid: number): Promise<void> => {
    const started = await run(launch(sandbox("attacker", uid, ["sh", "-c", attemptScript(() => true)], env)).command, launchEnvironment);
    if (started.output === "") throw new Error(`the sandbox did not start: ${started.errors}`);
    runs[`${uid} start`] = statuses(started.output);

    const running = start(sandbox("attacker", uid, ["sleep", "100"], env));
    const inside = await mainPid(running.status);
    const enter = enterCommand({
      pid: inside.main,
      uid,
      gid: uid,
      hostUid,
      command: ["sh", "-c", attemptScript(() => true)],
      env,
      workingDirectory: "/",
      seccomp: `${base}/seccomp`,
      terminal: false,
    });
    const entered = await run(enter, launchEnvironment);
    if (entered.output === "") throw new Error(`exec did not start: ${entered.errors}`);
    runs[`${uid} exec`] = statuses(entered.output);
    process.kill(inside.init, "SIGKILL");
  };
  await Promise.all([0, 1337, 65534].map(tryAs));
  const neighbourLives = (await host.files.stat(`/proc/${main}`)) !== undefined;
  // Last, because it succeeds: a decoy stands for the neighbour, and the attacker's network is what is left in pieces.
  const decoy = spawn("sh", ["-c", `: neighbour-${marker}; while :; do sleep 100; done`], { stdio: "ignore" });
  const control = await run(
    ["nsenter", `--net=${netns("attacker")}`, "unshare", "--mount", "--uts", "sh", "-c", attemptScript(({ control: each }) => each[kind] === true)],
    {
      ...launchEnvironment,
      ...env,
      NEIGHBOURS: String(decoy.pid ?? 0),
    },
  );
  runs["control"] = statuses(control.output);
  process.kill(init, "SIGKILL");
  return { runs, neighbourLives };
}

process.stdout.write(`${JSON.stringify(await tryAll())}\n`, () => process.exit(0));
