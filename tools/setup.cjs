/**
 * Prepares a checkout and runs one of its tasks: what `npm test`, `npm run demo` and the others call.
 *
 * Plain JavaScript that any Node from 18 on can run, because it is what brings Node 24 along: it installs the locked
 * dependencies when they are not the installed ones, generates Envoy's types, looks for the system's programs that the
 * task needs (installs them with apt as root, else prints the one line to run), and then starts the task on Node 24.
 */
"use strict";
const { spawn, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const root = path.dirname(__dirname);

/** Program -> Debian package. A cluster cannot do without these. */
const CLUSTER = { ip: "iproute2", nft: "nftables", bwrap: "bubblewrap", unshare: "util-linux", nsenter: "util-linux", setpriv: "util-linux", mount: "mount" };
/** Its visitors ask with curl. */
const DEMO = { ...CLUSTER, curl: "curl" };
/** What the tests and benchmarks compare with; tests that miss one say so and are skipped. */
const PEERS = {
  curl: "curl",
  dig: "dnsutils",
  conntrack: "conntrack",
  socat: "socat",
  openssl: "openssl",
  script: "bsdutils",
  zsh: "zsh",
  fish: "fish",
};
/** A real Kubernetes is asked by kubectl; its nodes are looked at with these. */
const KUBERNETES = { kubectl: "kubernetes-client", ip: "iproute2", nft: "nftables", nsenter: "util-linux", curl: "curl", openssl: "openssl", dig: "dnsutils" };
const BENCH = { wrk: "wrk", nginx: "nginx-light", haproxy: "haproxy" };

const TASKS = {
  demo: { command: ["tools/demo.ts"], needs: DEMO },
  "demo:once": { command: ["tools/demo.ts", "--once"], needs: DEMO },
  test: { command: ["tools/check.ts"], needs: CLUSTER, wants: PEERS },
  "test:long": { command: ["tools/check.ts", "--long"], needs: CLUSTER, wants: { ...PEERS, ...BENCH } },
  "test:kubernetes": { command: ["tools/kubernetes.ts"], needs: KUBERNETES },
  conformance: { command: ["tools/conformance.ts"], needs: KUBERNETES },
  bench: { command: ["bench/bench.ts"], needs: CLUSTER, wants: BENCH },
  "bench:kubernetes": { command: ["bench/kubernetes/bench.ts"], needs: KUBERNETES, wants: BENCH },
  image: { command: ["tools/image/image.ts"], needs: { nft: "nftables" } },
  lint: { command: ["tools/lint.ts"] },
  golden: { command: ["tools/golden.ts"] },
  chart: { command: ["tools/chart.ts"] },
  install: { command: undefined, needs: CLUSTER },
};

main(process.argv.slice(2));

function main([name, ...args]) {
  const task = TASKS[name];
  if (task === undefined) fail(`no task "${name}"; there are: ${Object.keys(TASKS).join(", ")}`);
  if (process.platform !== "linux") fail(`Weft runs on Linux; this is ${process.platform}`);
  installDependencies();
  const node = findNode();
  run([node, path.join(root, "tools/generate-envoy-types.mjs")]);
  installPrograms(task.needs || {}, task.wants || {});
  if (task.command === undefined) return;
  const [file, ...rest] = task.command;
  const bin = path.join(root, "node_modules/.bin");
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH || ""}` };
  // The task handles Ctrl-C itself; this process only waits for it and passes its status on.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});
  // The IPC channel tells the task when this process is gone, also by kill -9.
  const child = spawn(node, [path.join(root, file), ...rest, ...args], { cwd: root, env, stdio: ["inherit", "inherit", "inherit", "ipc"] });
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    process.exitCode = code === null ? 128 + (os.constants.signals[signal] || 0) : code;
  });
}

/** `npm ci` when what is installed is not what the lock file says. */
function installDependencies() {
  const difference = lockDifference();
  if (difference === undefined) return;
  say(`installing dependencies (${difference})`);
  const withoutOwnBin = (process.env.PATH || "").split(":").filter((folder) => !folder.includes("node_modules"));
  const env = { ...process.env, PATH: withoutOwnBin.join(":") };
  const result = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (result.error) fail(`npm could not be started (${result.error.message}); install npm 10 or newer`);
  if (result.status !== 0) fail("npm ci failed; its message stands above");
}

function lockDifference() {
  const installedFile = path.join(root, "node_modules/.package-lock.json");
  if (!fs.existsSync(installedFile)) return "none are installed";
  const locked = JSON.parse(fs.readFileSync(path.join(root, "package-lock.json"), "utf8")).packages;
  const installed = JSON.parse(fs.readFileSync(installedFile, "utf8")).packages;
  for (const [name, entry] of Object.entries(locked)) {
    if (name === "" || (entry.optional && installed[name] === undefined)) continue;
    if (installed[name] === undefined) return `${name} is missing`;
    if (installed[name].version !== entry.version) return `${name} is ${installed[name].version}, locked is ${entry.version}`;
  }
  return undefined;
}

/** The Node that the install brought along. */
function findNode() {
  const file = path.join(root, "node_modules", `node-linux-${process.arch}`, "bin/node");
  if (fs.existsSync(file)) return file;
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  return fail(`node-linux-${process.arch} is not installed and this Node is ${process.versions.node}; run: npm ci --include=optional`);
}

function installPrograms(needs, wants) {
  const missing = (programs) => Object.keys(programs).filter((program) => !isInstalled(program));
  const packages = (programs, names) => [...new Set(names.map((name) => String(programs[name])))].sort((a, b) => a.localeCompare(b));
  const needed = missing(needs);
  const wanted = missing(wants);
  if (needed.length + wanted.length === 0) return;
  const list = packages({ ...needs, ...wants }, [...needed, ...wanted]).join(" ");
  if (process.getuid() === 0 && isInstalled("apt-get")) {
    say(`installing ${list}`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const install = `apt-get install -y -qq --no-install-recommends ${list}`;
    const result = spawnSync("sh", ["-c", `${install} >/dev/null 2>&1 || { apt-get update -qq && ${install} >/dev/null; }`], { env, stdio: ["ignore", 2, 2] });
    if (result.status === 0) return;
  } else {
    say(`missing: ${[...needed, ...wanted].join(", ")}. Run once:  sudo apt-get install -y ${list}`);
  }
  const still = missing(needs);
  if (still.length > 0) fail(`${still.join(", ")} cannot be done without`);
}

/** Ordinary users often have no sbin in PATH, where nft and ip are. */
function isInstalled(program) {
  const folders = [...(process.env.PATH || "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return folders.some((folder) => fs.existsSync(path.join(folder, program)));
}

function run(command) {
  const result = spawnSync(command[0], command.slice(1), { cwd: root, stdio: "inherit" });
  if (result.status !== 0) fail(`${command.slice(1).join(" ")} ended with ${result.status === null ? result.signal : result.status}`);
}

function say(text) {
  process.stderr.write(`weft: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
