import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { Files } from "#host/files.ts";
import { namespaceRefusal, requirePrograms } from "./preflight.ts";

const PROGRAMS = ["ip", "nft", "bwrap", "unshare", "nsenter", "setpriv", "flock", "mount"];

async function machine(files: Readonly<Record<string, string>>): Promise<{ readonly files: Files }> {
  const { files: made } = fakeHost(new FakeWorld(), { name: "machine" });
  for (const [path, text] of Object.entries(files)) {
    await made.makeDirectory(path.slice(0, path.lastIndexOf("/")));
    await made.writeAtomic(path, text);
  }
  return { files: made };
}

function installed(...without: readonly string[]): Record<string, string> {
  return Object.fromEntries(PROGRAMS.filter((name) => !without.includes(name)).map((name) => [`/usr/sbin/${name}`, ""]));
}

describe("programs of this machine", () => {
  test("are looked for also where ordinary users' PATH does not lead", async () => {
    await requirePrograms(await machine(installed()), { env: { PATH: "/home/a/bin" }, uid: 1000 });
  });
  const cases = [
    { name: "one is missing", without: ["nft"], uid: 1000, want: "this machine has no nft.\n      Run once:  sudo apt-get install -y nftables" },
    { name: "root needs no sudo", without: ["bwrap"], uid: 0, want: "this machine has no bwrap.\n      Run once:  apt-get install -y bubblewrap" },
    {
      name: "two of one package",
      without: ["ip", "unshare", "setpriv"],
      uid: 1000,
      want: "this machine has no ip, no unshare, no setpriv.\n      Run once:  sudo apt-get install -y iproute2 util-linux",
    },
  ];
  for (const { name, without, uid, want } of cases)
    test(name, async () => {
      const host = await machine(installed(...without));
      await assert.rejects(requirePrograms(host, { env: {}, uid }), { message: want });
    });
});

describe("a refusal of namespaces says which line to run", () => {
  const cases = [
    {
      name: "AppArmor, as on Ubuntu 24.04",
      files: { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n" },
      want: /\(kernel\.apparmor_restrict_unprivileged_userns=1\)\.\n +Run once: {2}sudo sysctl -w kernel\.apparmor_restrict_unprivileged_userns=0\n +or run weft as root\.$/,
    },
    {
      name: "Debian's switch",
      files: { "/proc/sys/kernel/unprivileged_userns_clone": "0\n", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0\n" },
      want: /Run once: {2}sudo sysctl -w kernel\.unprivileged_userns_clone=1\n/,
    },
    { name: "a limit of none", files: { "/proc/sys/user/max_user_namespaces": "0\n" }, want: /Run once: {2}sudo sysctl -w user\.max_user_namespaces=15000\n/ },
    {
      name: "a container's filter",
      files: { "/proc/sys/user/max_user_namespaces": "15000\n" },
      want: /\(unshare: Operation not permitted\)\.\n +In a container, run it with --security-opt seccomp=unconfined/,
    },
  ];
  for (const { name, files, want } of cases)
    test(name, async () => assert.match(await namespaceRefusal(await machine(files), 1000, "unshare: Operation not permitted\n"), want));
  test("root in a container", async () =>
    assert.match(await namespaceRefusal(await machine({}), 0, "unshare: Operation not permitted"), /does not let root make namespaces .*--privileged/s));
});
