import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import { parseLogQuery } from "./kubelet/kubelet.ts";
import { keepLog, readLog } from "./logs.ts";

const path = "/logs/app/0.log";

/** A log whose lines come one second apart; what `kubectl logs` with the query prints. */
async function lab(lines: readonly string[]) {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  await host.files.makeDirectory("/logs/app");
  await host.files.append(path, "");
  const kept = keepLog(host, path);
  for (const line of lines) {
    await world.pass(1000);
    await host.files.append(path, line);
  }
  await world.pass(1000);
  const print = async (query: string, isOver = () => true): Promise<string> => {
    let text = "";
    const options = parseLogQuery(new URLSearchParams(query), world.clock.now());
    for await (const chunk of readLog(host, path, options, { isOver, signal: new AbortController().signal })) text += Buffer.from(chunk).toString();
    return text;
  };
  return { world, host, print, kept };
}

describe("the log of a container", () => {
  const lines = ["one\n", "two\n", "three\n", "no end"];
  const cases = [
    { query: "", want: "one\ntwo\nthree\nno end" },
    { query: "tailLines=2", want: "three\nno end" },
    { query: "tailLines=0", want: "" },
    { query: "sinceSeconds=2", want: "three\nno end" },
    { query: "limitBytes=5", want: "one\nt" },
    { query: "tailLines=1&timestamps=true", want: "2026-01-01T00:00:04.020Z no end" },
    { query: "follow=true", want: "one\ntwo\nthree\nno end" },
  ];
  for (const { query, want } of cases) {
    test(`with ${query === "" ? "no options" : query}`, async () => {
      const { world, print, kept } = await lab(lines);
      assert.equal(await world.drive(print(query)), want);
      kept.close();
    });
  }

  test("is followed until the run is over", async () => {
    const { world, host, print, kept } = await lab(["one\n"]);
    let over = false;
    const text = print("follow=true&tailLines=0", () => over);
    await world.pass(600);
    await host.files.append(path, "two\n");
    await world.pass(600);
    await host.files.append(path, "three\n");
    over = true;
    assert.equal(await world.drive(text), "two\nthree\n");
    kept.close();
  });
});
