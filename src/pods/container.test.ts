import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeWorld } from "#host/fake/world.ts";
import type { Container } from "#model/pod-parts.ts";
import { ContainerRunner, type ContainerOptions, type ContainerRecord } from "./container.ts";
import type { ContainerEnd, ContainerProcess } from "./container-process.ts";
import type { ConfigProblem } from "./environment.ts";

/** A container whose process does what the test says: ends by itself, or upon a signal. */
class Lab {
  readonly world = new FakeWorld();
  readonly events: string[] = [];
  readonly runner: ContainerRunner;
  readonly signals: number[] = [];
  record: ContainerRecord | undefined;
  /** Answer of all probes. */
  healthy = true;
  problem: ConfigProblem | undefined;
  launches = 0;
  #end: (end: ContainerEnd) => void = () => {};

  constructor(container: Partial<Container> = {}, options: Partial<ContainerOptions> & { readonly endsUpon?: readonly number[] } = {}) {
    const { endsUpon = [15] } = options;
    const launch = (): ContainerProcess => {
      this.launches += 1;
      const ended = new Promise<ContainerEnd>((resolve) => (this.#end = resolve));
      return {
        ended,
        mainPid: () => Promise.resolve(1),
        signal: (signal) => {
          this.signals.push(signal);
          if (endsUpon.includes(signal)) this.end(143);
          return Promise.resolve();
        },
        kill: () => {
          this.signals.push(9);
          this.end(137);
          return Promise.resolve();
        },
      };
    };
    this.runner = new ContainerRunner(
      {
        container: { name: "app", image: "shop:1", ...container },
        role: "app",
        podName: "p",
        podUid: "u",
        restartPolicy: "Always",
        record: undefined,
        ...options,
      },
      {
        clock: this.world.clock,
        launch: async (attempt) => {
          if (this.problem !== undefined) return this.problem;
          await this.runner.noteStart(attempt);
          return launch();
        },
        adopt: (attempt) => Promise.resolve(attempt >= 0 ? launch() : undefined),
        ask: () => Promise.resolve({ ok: this.healthy, message: this.healthy ? "" : "no" }),
        hook: (kind) => {
          this.events.push(kind);
          return Promise.resolve({ ok: true, message: "" });
        },
        event: (_, reason) => void this.events.push(reason),
        saved: (record) => {
          this.record = structuredClone(record);
          return Promise.resolve();
        },
        changed: () => {},
        lastWords: () => Promise.resolve(undefined),
      },
    );
  }

  end(exitCode: number): void {
    this.#end({ exitCode });
  }

  pass(ms: number): Promise<void> {
    return this.world.pass(ms);
  }

  get state(): string {
    const { state, ready, restartCount } = this.runner.view();
    const word = state.running !== undefined ? "running" : (state.waiting?.reason ?? `${state.terminated?.reason ?? ""} ${state.terminated?.exitCode ?? ""}`);
    return `${word}${ready ? " ready" : ""} ${restartCount}`;
  }
}

test("a container that fails starts again at once, then after 10, 20 and 40 s", async () => {
  const lab = new Lab();
  lab.runner.start();
  await lab.pass(10);
  assert.equal(lab.state, "running ready 0");
  lab.end(1);
  await lab.pass(10);
  assert.equal(lab.state, "running ready 1");
  for (const [restarts, seconds] of [
    [2, 10],
    [3, 20],
    [4, 40],
  ] as const) {
    lab.end(1);
    await lab.pass(seconds * 1000 - 500);
    assert.equal(lab.state, `CrashLoopBackOff ${restarts - 1}`);
    assert.deepEqual(lab.runner.view().lastState?.terminated?.exitCode, 1);
    await lab.pass(1000);
    assert.equal(lab.state, `running ready ${restarts}`);
  }
  assert.ok(lab.events.includes("BackOff"));
});

test("the wait is at most five minutes, and a run of ten minutes ends it", async () => {
  const lab = new Lab();
  lab.runner.start();
  await lab.pass(10);
  for (let i = 0; i < 8; i += 1) {
    lab.end(1);
    await lab.pass(301_000);
    assert.match(lab.state, /^running/);
  }
  await lab.pass(600_000);
  lab.end(1);
  await lab.pass(10);
  assert.match(lab.state, /^running/);
});

describe("a container that ended", () => {
  const cases = [
    { policy: "OnFailure", code: 0, want: "Completed 0 0", launches: 1 },
    { policy: "OnFailure", code: 1, want: "running ready 1", launches: 2 },
    { policy: "Never", code: 1, want: "Error 1 0", launches: 1 },
    { policy: "Always", code: 0, want: "running ready 1", launches: 2 },
  ] as const;
  for (const { policy, code, want, launches } of cases) {
    test(`with status ${code} and restartPolicy ${policy} is then: ${want}`, async () => {
      const lab = new Lab({}, { restartPolicy: policy });
      lab.runner.start();
      await lab.pass(10);
      lab.end(code);
      await lab.pass(10);
      assert.equal(lab.state, want);
      assert.equal(lab.launches, launches);
    });
  }
});

describe("stopping", () => {
  test("asks first, and kills when the time is over", async () => {
    const lab = new Lab({}, { endsUpon: [] });
    lab.runner.start();
    await lab.pass(10);
    const before = lab.world.elapsedMs;
    await lab.world.drive(lab.runner.stop(5000));
    assert.deepEqual(lab.signals, [15, 9]);
    assert.ok(lab.world.elapsedMs - before >= 5000);
    assert.equal(lab.record?.done, true);
  });

  test("runs preStop before the signal that the container asked for", async () => {
    const lab = new Lab({ lifecycle: { preStop: { exec: { command: ["true"] } }, stopSignal: "SIGQUIT" } }, { endsUpon: [3] });
    lab.runner.start();
    await lab.pass(10);
    await lab.world.drive(lab.runner.stop(5000));
    assert.deepEqual(lab.signals, [3]);
    assert.deepEqual(lab.events, ["Started", "Killing", "preStop"]);
  });

  test("ends the waiting between two runs", async () => {
    const lab = new Lab();
    lab.runner.start();
    for (const ms of [10, 10]) {
      await lab.pass(ms);
      lab.end(1);
    }
    await lab.pass(1000);
    assert.match(lab.state, /^CrashLoopBackOff/);
    const before = lab.world.elapsedMs;
    await lab.world.drive(lab.runner.stop(30_000));
    assert.ok(lab.world.elapsedMs - before < 1000);
  });
});

test("a container that its liveness probe finds dead is stopped and started again", async () => {
  const lab = new Lab({ livenessProbe: { exec: { command: ["true"] }, periodSeconds: 1, failureThreshold: 3 } });
  lab.runner.start();
  await lab.pass(5000);
  assert.equal(lab.state, "running ready 0");
  lab.healthy = false;
  await lab.pass(1500);
  assert.equal(lab.launches, 1, "two failures are not three");
  await lab.pass(2000);
  assert.deepEqual(lab.signals, [15]);
  assert.equal(lab.launches, 2);
});

test("readiness follows its probe, and nothing is restarted for it", async () => {
  const lab = new Lab({ readinessProbe: { exec: { command: ["true"] }, periodSeconds: 1, failureThreshold: 1 } });
  lab.healthy = false;
  lab.runner.start();
  await lab.pass(15_000);
  assert.equal(lab.state, "running 0");
  lab.healthy = true;
  await lab.pass(1500);
  assert.equal(lab.state, "running ready 0");
  lab.healthy = false;
  await lab.pass(1500);
  assert.equal(lab.state, "running 0");
  assert.equal(lab.launches, 1);
});

test("until the startup probe passes no other is asked; when it never does, the container is restarted", async () => {
  const lab = new Lab({
    startupProbe: { exec: { command: ["true"] }, periodSeconds: 1, failureThreshold: 20 },
    livenessProbe: { exec: { command: ["true"] }, periodSeconds: 1, failureThreshold: 1 },
  });
  lab.healthy = false;
  lab.runner.start();
  await lab.pass(15_000);
  assert.equal(lab.launches, 1);
  await lab.pass(20_000);
  assert.equal(lab.launches, 2);
});

test("an image that the map does not name is asked for again, ever more seldom", async () => {
  const lab = new Lab();
  lab.problem = { reason: "ErrImagePull", message: "no entry" };
  lab.runner.start();
  await lab.pass(100);
  assert.equal(lab.state, "ErrImagePull 0");
  await lab.pass(6000);
  assert.equal(lab.state, "ImagePullBackOff 0");
  assert.match(lab.runner.view().state.waiting?.message ?? "", /^Back-off pulling image "shop:1": ErrImagePull: no entry$/);
  lab.problem = undefined;
  await lab.pass(20_000);
  assert.equal(lab.state, "running ready 0");
});

test("what an earlier runtime started goes on, and is not started again", async () => {
  const lab = new Lab({}, { record: { attempt: 2, startedAtMs: 0, last: undefined, done: false } });
  lab.runner.start();
  await lab.pass(10);
  assert.equal(lab.state, "running ready 2");
  assert.equal(lab.launches, 1);
  lab.runner.detach();
  lab.end(0);
  await lab.pass(10);
  assert.equal(lab.record, undefined, "it is the next runtime's to say what became of it");
});

test("an init container is past when it completed", async () => {
  const lab = new Lab({}, { role: "init" });
  lab.runner.start();
  await lab.pass(10);
  assert.equal(lab.runner.isPast, false);
  lab.end(0);
  await lab.pass(10);
  assert.equal(lab.runner.isPast, true);
  assert.equal(lab.state, "Completed 0 ready 0");
});
