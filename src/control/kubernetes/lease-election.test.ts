import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiRefusal } from "#client/api-error.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { HostError } from "#host/host-error.ts";
import type { Lease } from "#model/coordination.ts";
import { silentLog } from "#run/log.ts";
import { runElection, type Election } from "./lease-election.ts";

const NAME = { namespace: "weft-system", name: "weft-control" };

/** An API server with one Lease, which conflicts as Kubernetes' does; each replica has a way to it of its own. */
class Office {
  readonly world = new FakeWorld();
  readonly cutOff = new Set<string>();
  /** "12 a leads". */
  readonly story: string[] = [];
  lease: Lease | undefined;
  #revision = 1;

  #at(): number {
    return Math.round(this.world.elapsedMs / 1000);
  }

  replica(identity: string): Election {
    const host = fakeHost(this.world, { name: identity });
    const answer = async <T>(work: () => T): Promise<T> => {
      await host.clock.sleep(1);
      if (this.cutOff.has(identity)) throw new HostError("ECONNREFUSED", "api", "connection refused");
      return work();
    };
    const stored = (lease: Lease): Lease => (this.lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(this.#revision++) } });
    const conflict = () => new ApiRefusal("PUT", { code: 409, reason: "Conflict", message: "changed", causes: [] });
    const api = {
      find: () => answer(() => this.lease),
      create: (_: string, lease: Lease) =>
        answer(() => {
          if (this.lease !== undefined) throw conflict();
          return stored(lease);
        }),
      update: (_: string, lease: Lease) =>
        answer(() => {
          if (lease.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) throw conflict();
          return stored(lease);
        }),
    };
    return runElection(host, {
      api: api as unknown as Parameters<typeof runElection>[1]["api"],
      log: silentLog,
      lease: NAME,
      identity,
      elected: () => void this.story.push(`${this.#at()} ${identity} leads`),
      deposed: () => void this.story.push(`${this.#at()} ${identity} is deposed`),
    });
  }
}

test("of three that start together one leads, and goes on leading", async () => {
  const office = new Office();
  const replicas = ["a", "b", "c"].map((name) => office.replica(name));
  await office.world.pass(600_000);
  assert.equal(office.story.length, 1);
  assert.equal(replicas.filter((each) => each.isLeader).length, 1);
  assert.match(office.lease?.spec?.renewTime ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.equal(office.lease?.spec?.leaseTransitions, 0);
});

test("a leader that is cut off stops leading before another begins, 15 s after it was last heard", async () => {
  const office = new Office();
  office.replica("a");
  await office.world.pass(1_000);
  office.replica("b");
  await office.world.pass(9_000);
  office.cutOff.add("a");
  await office.world.pass(40_000);
  const [first, deposed, second] = office.story.map((line) => line.split(" "));
  assert.deepEqual(
    [first?.slice(1), deposed?.slice(1), second?.slice(1)],
    [
      ["a", "leads"],
      ["a", "is", "deposed"],
      ["b", "leads"],
    ],
  );
  const [until, from] = [Number(deposed?.[0]), Number(second?.[0])];
  assert.ok(until >= 17 && until <= 20 && from >= 23 && from <= 29, office.story.join("; "));
  office.cutOff.clear();
  await office.world.pass(60_000);
  assert.equal(office.story.length, 3, "who comes back waits");
  assert.equal(office.lease?.spec?.leaseTransitions, 1);
});

test("a leader that stops gives the lease back, and the next need not wait for its end", async () => {
  const office = new Office();
  const first = office.replica("a");
  await office.world.pass(1_000);
  office.replica("b");
  await office.world.pass(20_000);
  await office.world.drive(first.stop());
  await office.world.pass(3_000);
  assert.deepEqual(
    office.story.map((line) => line.slice(line.indexOf(" ") + 1)),
    ["a leads", "a is deposed", "b leads"],
  );
});

test("one that is not the leader stops without touching the lease", async () => {
  const office = new Office();
  office.replica("a");
  await office.world.pass(1_000);
  const second = office.replica("b");
  await office.world.pass(5_000);
  const before = office.lease?.spec?.holderIdentity;
  await office.world.drive(second.stop());
  assert.deepEqual([before, office.lease?.spec?.holderIdentity], ["a", "a"]);
});

test("over thirty histories of cuts there are never two leaders", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const office = new Office();
    const replicas = ["a", "b", "c"].map((name) => office.replica(name));
    const random = office.world.random(`cuts ${seed}`);
    for (let step = 0; step < 40; step++) {
      for (const name of ["a", "b", "c"].filter(() => random.next() < 0.3)) {
        if (!office.cutOff.delete(name)) office.cutOff.add(name);
      }
      await office.world.pass(random.next() * 8_000);
      const leaders = replicas.filter((each) => each.isLeader).length;
      assert.ok(leaders <= 1, `seed ${seed}, step ${step}: ${leaders} leaders`);
    }
    let leading: string | undefined;
    for (const line of office.story) {
      const [, who, , deposed] = line.split(" ");
      assert.ok(deposed === undefined ? leading === undefined : leading === who, `seed ${seed}: ${office.story.join("; ")}`);
      leading = deposed === undefined ? who : undefined;
    }
  }
});
