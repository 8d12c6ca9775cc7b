/** The reporter of the other tests, that also shows what a long one does while it does it: its progress, and each test as it ends. */
import type { TestEvent } from "node:test/reporters";
import reporter from "#tools/reporter.ts";

export default async function* reporterOfLongTests(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  yield* reporter(told(source));
}

/** To stderr and at once: what a reporter yields waits for files to end. */
async function* told(source: AsyncIterable<TestEvent>): AsyncGenerator<TestEvent> {
  for await (const event of source) {
    if (event.type === "test:stderr") process.stderr.write(event.data.message);
    if ((event.type === "test:pass" || event.type === "test:fail") && event.data.details.type !== "suite" && hasRun(event)) {
      const seconds = (event.data.details.duration_ms / 1000).toFixed(1);
      process.stderr.write(`${event.type === "test:pass" ? "ok  " : "FAIL"} ${seconds.padStart(6)}s  ${event.data.name}\n`);
    }
    yield event;
  }
}

function hasRun({ type, data }: Extract<TestEvent, { type: "test:pass" | "test:fail" }>): boolean {
  if (type === "test:pass") return data.skip === undefined;
  const { error } = data.details;
  return !("failureType" in error && error.failureType === "cancelledByParent");
}
