import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { certificateService, meshCa } from "#ca/ca.ts";
import { newMeshRoot } from "#ca/root.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { silentLog } from "#run/log.ts";
import { Identity } from "./identity.ts";
import type { SavedIdentity } from "./last-state.ts";

const HOUR_MS = 3_600_000;
const CONTROL = { ip: "192.0.2.1", port: 15_012 };

/** A node, and a control plane that comes and goes. */
async function lab() {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  const root = await world.drive(newMeshRoot(host));
  const methods = certificateService(meshCa(host, root), () => ({ namespace: "default", serviceAccount: "a" }));
  const options = { pod: "default/a/u", namespace: "default", serviceAccount: "a", log: silentLog, changed: () => undefined };
  const start = (former?: SavedIdentity) => new Identity(host, { ...options, channel: host.rpc.connect({ address: CONTROL }), former });
  return {
    world,
    serve: () => world.drive(host.rpc.serve({ address: CONTROL, methods })),
    start,
    /** What a former agent had when it ended. */
    async former(): Promise<SavedIdentity> {
      const first = start();
      await world.pass(1_000);
      const { saved } = first;
      first.stop();
      assert.ok(saved);
      return saved;
    },
  };
}

describe("an identity that a former agent had", () => {
  it("is served at once, and renewed within a minute", async () => {
    const { world, serve, start, former } = await lab();
    const control = await serve();
    const saved = await former();
    const second = start(saved);
    assert.equal(second.saved, saved);
    assert.ok(second.secrets);
    await world.pass(61_000);
    assert.notEqual(second.saved, saved);
    second.stop();
    await world.drive(control.close());
  });

  it("is not served when it has ended", async () => {
    const { world, serve, start, former } = await lab();
    const control = await serve();
    const saved = await former();
    await world.drive(control.close());
    for (let half = 0; half < 26; half += 1) await world.pass(HOUR_MS / 2);
    const second = start(saved);
    assert.equal(second.secrets, undefined);
    second.stop();
  });
});
