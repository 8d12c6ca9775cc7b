import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeCompiler } from "#compile/node/node-compiler.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeNft } from "#host/fake/nft.ts";
import { FakeMachine } from "#host/fake/processes.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { silentLog } from "#run/log.ts";
import { PlanApplier } from "#agent/apply-plan.ts";
import { FormerSysctls } from "#agent/former-sysctls.ts";
import { nodeWith } from "#agent/test-node.ts";
import { PATHS } from "./node-paths.ts";
import { runUninstall } from "./uninstall.ts";

const NODE = nodeWith({ podCIDR: "10.244.0.0/24", address: "192.168.0.1" });
const FORWARDS = "net.ipv4.ip_forward";

/** A node on which an agent's plan is in force. */
async function node({ forwarded }: { readonly forwarded: string }) {
  const world = new FakeWorld();
  const nft = new FakeNft();
  const machine = new FakeMachine();
  machine.programs.set("nft", (io) => {
    io.stdout(
      nft
        .tables()
        .map(({ family, name }) => `table ${family} ${name}\n`)
        .join(""),
    );
    io.exit(0);
  });
  const host = fakeHost(world, { name: "node-1", nft, machine });
  const kernel = world.kernel.home("node-1");
  kernel.add({ name: "eth0", kind: "veth", mac: "02:00:00:00:00:01", mtu: 1500 }).up = true;
  kernel.sysctls.set(FORWARDS, forwarded);
  await host.files.makeDirectory(PATHS.state);
  await host.files.makeDirectory(PATHS.networkConfigs);
  await host.files.makeDirectory(PATHS.plugins);
  const apply = async (): Promise<void> => {
    const former = new FormerSysctls(host, `${PATHS.state}/sysctls.json`);
    const applier = new PlanApplier(host, silentLog, { beforeSysctl: (key, value) => former.remember(key, value) });
    const compiler = new NodeCompiler({ node: "node-1", settings: DEFAULT_SETTINGS });
    compiler.apply({ kind: "Node", key: "node-1", object: NODE });
    await applier.apply(compiler.plan());
    applier.close();
  };
  const uninstall = async (): Promise<void> => {
    const options = { paths: PATHS, dnsAddress: "10.96.0.10", pages: { ip: "192.168.0.1", port: 10252 }, profile: "full" as const };
    const running = await runUninstall(host, options, silentLog);
    await world.drive(host.clock.sleep(5_000));
    await world.drive(running.stop());
  };
  return { world, host, nft, kernel, apply, uninstall };
}

test("nothing of a plan stays on a node: links, addresses, rules, settings, files", async () => {
  const { host, nft, kernel, apply, uninstall } = await node({ forwarded: "0" });
  await apply();
  assert.equal(kernel.sysctls.get(FORWARDS), "1");
  await apply();
  await uninstall();
  assert.deepEqual([...kernel.links.keys()], ["lo", "eth0"]);
  assert.deepEqual(kernel.addresses, []);
  assert.deepEqual(nft.tables(), []);
  assert.equal(kernel.sysctls.get(FORWARDS), "0", "as it was before the first of the agents");
  assert.equal(await host.files.stat(PATHS.state), undefined);
});

test("a node that forwarded packets before goes on", async () => {
  const { kernel, apply, uninstall } = await node({ forwarded: "1" });
  await apply();
  await uninstall();
  assert.equal(kernel.sysctls.get(FORWARDS), "1");
});

test("a setting that somebody has changed since is theirs", async () => {
  const { kernel, apply, uninstall } = await node({ forwarded: "0" });
  await apply();
  kernel.sysctls.set(FORWARDS, "2");
  await uninstall();
  assert.equal(kernel.sysctls.get(FORWARDS), "2");
});

test("no setting but forwarding is of more than our own links", async () => {
  const { kernel, apply } = await node({ forwarded: "0" });
  await apply();
  assert.deepEqual(
    [...kernel.sysctls.keys()].filter((key) => !key.includes(".weft")),
    [FORWARDS],
  );
});
