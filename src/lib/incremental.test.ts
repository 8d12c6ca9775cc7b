import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CycleError, Incremental, type Derivation } from "./incremental.ts";

interface Pod {
  readonly app: string;
  readonly ip: string;
}

/** Pods by app, their addresses, and a report over two apps. */
function world() {
  const engine = new Incremental();
  const pods = engine.table<Pod>("pods");
  const byApp = pods.index((pod) => pod.app);
  const addresses = engine.derive("addresses", (read, app) => read.group(byApp, app).map((pod) => pod.ip));
  const count = engine.derive("count", (read, app) => read.derived(addresses, app).length);
  const report = engine.derive("report", (read, key) =>
    key
      .split("+")
      .map((app) => `${app}:${read.derived(count, app)}`)
      .join(" "),
  );
  return { engine, pods, addresses, count, report };
}

const computed = (engine: Incremental, name: string): number => engine.recomputed().get(name) ?? 0;

describe("a derivation", () => {
  it("is computed once for many questions", () => {
    const { engine, pods, report } = world();
    pods.set("a1", { app: "a", ip: "1" });
    assert.equal(engine.get(report, "a+b"), "a:1 b:0");
    assert.equal(engine.get(report, "a+b"), "a:1 b:0");
    assert.equal(computed(engine, "report"), 1);
    assert.equal(computed(engine, "addresses"), 2);
  });

  it("is computed again only when something it read changed", () => {
    const { engine, pods, report } = world();
    pods.set("a1", { app: "a", ip: "1" });
    engine.get(report, "a+b");
    pods.set("c1", { app: "c", ip: "9" });
    engine.get(report, "a+b");
    assert.equal(computed(engine, "addresses"), 2);
    pods.set("b1", { app: "b", ip: "2" });
    assert.equal(engine.get(report, "a+b"), "a:1 b:1");
    assert.equal(computed(engine, "addresses"), 3);
  });

  it("stops early when what it read came out equal", () => {
    const { engine, pods, report } = world();
    pods.set("a1", { app: "a", ip: "1" });
    engine.get(report, "a+b");
    pods.set("a1", { app: "a", ip: "7" });
    assert.equal(engine.get(report, "a+b"), "a:1 b:0");
    assert.equal(computed(engine, "count"), 3, "the addresses differ, so they are counted again");
    assert.equal(computed(engine, "report"), 1, "the count does not differ");
  });

  it("keeps the identity of an equal value", () => {
    const { engine, pods, addresses } = world();
    pods.set("a1", { app: "a", ip: "1" });
    const before = engine.get(addresses, "a");
    pods.set("a1", { app: "b", ip: "1" });
    pods.set("a1", { app: "a", ip: "1" });
    assert.equal(engine.get(addresses, "a"), before);
  });

  it("depends on the absence of what it did not find", () => {
    const engine = new Incremental();
    const names = engine.table<string>("names");
    const greeting = engine.derive("greeting", (read, key) => `hello ${read.get(names, key) ?? "nobody"}`);
    assert.equal(engine.get(greeting, "x"), "hello nobody");
    names.set("x", "Ada");
    assert.equal(engine.get(greeting, "x"), "hello Ada");
    names.delete("x");
    assert.equal(engine.get(greeting, "x"), "hello nobody");
  });

  it("does not read what an earlier answer made meaningless", () => {
    const engine = new Incremental();
    const links = engine.table<string>("links");
    const target = engine.derive("target", (read, key) => {
      const link = read.get(links, key);
      if (link === "nowhere") throw new Error("there is nothing behind nowhere");
      return link;
    });
    const follow = engine.derive("follow", (read, key) => {
      const next = read.derived(target, key);
      return next === undefined ? undefined : read.derived(target, next);
    });
    links.set("a", "b");
    links.set("b", "c");
    assert.equal(engine.get(follow, "a"), "c");
    links.set("a", "d");
    links.set("b", "nowhere");
    assert.equal(engine.get(follow, "a"), undefined);
  });

  it("sees a cell whose previous reader let go of it while it was being derived itself", () => {
    const engine = new Incremental();
    const cells = engine.table<string>("cells");
    const inner = engine.derive("inner", (read) => (read.get(cells, "switch") === "on" ? read.get(cells, "x") : "off"));
    const outer = engine.derive("outer", (read) => {
      const on = read.get(cells, "switch") === "on";
      const x = on ? "" : (read.get(cells, "x") ?? "absent");
      return `${read.derived(inner, "") ?? "absent"} ${x}`;
    });
    cells.set("switch", "on");
    assert.equal(engine.get(outer, ""), "absent ");
    cells.set("switch", "off");
    assert.equal(engine.get(outer, ""), "off absent");
    cells.set("x", "here");
    assert.equal(engine.get(outer, ""), "off here");
  });
});

describe("errors", () => {
  it("stay until something that was read changes", () => {
    const engine = new Incremental();
    const numbers = engine.table<number>("numbers");
    const half = engine.derive("half", (read, key) => {
      const n = read.get(numbers, key) ?? 0;
      if (n % 2 === 1) throw new Error(`${n} is odd`);
      return n / 2;
    });
    numbers.set("n", 3);
    assert.throws(() => engine.get(half, "n"), /3 is odd/);
    assert.throws(() => engine.get(half, "n"), /3 is odd/);
    assert.equal(computed(engine, "half"), 1);
    numbers.set("n", 4);
    assert.equal(engine.get(half, "n"), 2);
  });

  it("of a cycle name every step, and go when the cycle is broken", () => {
    const engine = new Incremental();
    const next = engine.table<string>("next");
    const walk: Derivation<string> = engine.derive("walk", (read, key): string => {
      const to = read.get(next, key);
      return to === undefined ? key : read.derived(walk, to);
    });
    next.set("a", "b");
    assert.equal(engine.get(walk, "a"), "b");
    next.set("b", "a");
    assert.throws(
      () => engine.get(walk, "a"),
      (error) => error instanceof CycleError && error.path.join(" ") === "walk(a) walk(b) walk(a)",
    );
    next.set("b", "c");
    assert.equal(engine.get(walk, "a"), "c");
    assert.equal(engine.get(walk, "b"), "c");
  });

  it("refuses a change of inputs from inside a derivation", () => {
    const engine = new Incremental();
    const table = engine.table<number>("t");
    const bad = engine.derive("bad", (_, key) => table.set(key, 1));
    assert.throws(() => engine.get(bad, "k"), /changed while bad\(k\) was being derived/);
  });
});

describe("held values", () => {
  it("are listed when they may have changed, and only then", () => {
    const { engine, pods, report } = world();
    const held = engine.hold(report, "a+b");
    assert.deepEqual(engine.staleHeld(report), ["a+b"]);
    held.get();
    pods.set("c1", { app: "c", ip: "1" });
    assert.deepEqual(engine.staleHeld(report), []);
    pods.set("a1", { app: "a", ip: "1" });
    assert.deepEqual(engine.staleHeld(report), ["a+b"]);
    held.get();
    assert.deepEqual(engine.staleHeld(report), []);
  });

  it("say when they last became different", () => {
    const { engine, pods, report } = world();
    const held = engine.hold(report, "a");
    held.get();
    const first = held.changedAt;
    pods.set("a1", { app: "a", ip: "1" });
    held.get();
    assert.ok(held.changedAt > first);
    const second = held.changedAt;
    pods.set("a1", { app: "a", ip: "2" });
    held.get();
    assert.equal(held.changedAt, second);
  });

  it("survive collection; what nobody wants does not", () => {
    const { engine, pods, report } = world();
    pods.set("a1", { app: "a", ip: "1" });
    const held = engine.hold(report, "a");
    held.get();
    engine.get(report, "b");
    assert.equal(engine.size, 6);
    assert.equal(engine.collect(), 3);
    assert.equal(engine.size, 3);
    held.release();
    assert.equal(engine.collect(), 3);
    assert.equal(engine.size, 0);
    assert.equal(engine.get(report, "a"), "a:1");
  });
});

describe("any history", () => {
  const app = fc.constantFrom("a", "b", "c");
  const pod = fc.constantFrom("p1", "p2", "p3", "p4");
  const step = fc.oneof(
    fc.record({ op: fc.constant("set" as const), pod, app, ip: fc.constantFrom("1", "2") }),
    fc.record({ op: fc.constant("delete" as const), pod }),
    fc.record({ op: fc.constant("ask" as const), report: fc.constantFrom("a", "a+b", "b+c", "a+b+c") }),
    fc.record({ op: fc.constant("collect" as const) }),
  );

  it("gives what a fresh engine gives", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const live = world();
        live.engine.hold(live.report, "a+b").get();
        const now = new Map<string, Pod>();
        for (const s of steps) {
          if (s.op === "set") {
            now.set(s.pod, { app: s.app, ip: s.ip });
            live.pods.set(s.pod, { app: s.app, ip: s.ip });
          } else if (s.op === "delete") {
            now.delete(s.pod);
            live.pods.delete(s.pod);
          } else if (s.op === "collect") live.engine.collect();
          else {
            const fresh = world();
            for (const [key, value] of now) fresh.pods.set(key, value);
            assert.equal(live.engine.get(live.report, s.report), fresh.engine.get(fresh.report, s.report));
            for (const one of s.report.split("+")) assert.deepEqual(live.engine.get(live.addresses, one), fresh.engine.get(fresh.addresses, one));
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
