/** Reporter of node:test: one line a file, failures and skips in full, a summary at the end. */
import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

interface FileResult {
  passed: number;
  failed: number;
  skipped: number;
}

export default async function* reporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Map<string, FileResult>();
  const total: FileResult = { passed: 0, failed: 0, skipped: 0 };
  for await (const event of source) {
    if (event.type === "test:stderr" || event.type === "test:stdout") continue;
    if (event.type === "test:pass" || event.type === "test:fail") {
      const { data } = event;
      const file = data.file ?? "";
      const isFile = data.nesting === 0 && data.name === file;
      if (isFile || data.details.type === "suite") {
        // Of a suite, what its hooks threw; its tests are told one by one.
        if (event.type === "test:fail" && (isFile || !isConsequence(event.data.details.error))) yield failure(file, data.name, event.data.details.error);
        continue;
      }
      const result = files.get(file) ?? { passed: 0, failed: 0, skipped: 0 };
      files.set(file, result);
      const outcome = event.type === "test:fail" ? "failed" : data.skip === undefined ? "passed" : "skipped";
      result[outcome] += 1;
      total[outcome] += 1;
      if (event.type === "test:fail" && !isConsequence(event.data.details.error)) yield failure(file, data.name, event.data.details.error);
      if (outcome === "skipped") yield `skip  ${relative(process.cwd(), file)}  "${data.name}"${typeof data.skip === "string" ? `: ${data.skip}` : ""}\n`;
    }
    if (event.type === "test:summary" && event.data.file !== undefined) {
      const result = files.get(event.data.file);
      // Tests that a file takes from another stand under that one's name; Node itself counts them where they ran.
      const { passed, skipped, tests } = event.data.counts;
      const count = tests === 0 ? "no tests" : counts(result ?? { passed, skipped, failed: tests - passed - skipped });
      yield `${event.data.success ? "ok  " : "FAIL"}  ${relative(process.cwd(), event.data.file).padEnd(56)} ${count}  ${(event.data.duration_ms / 1000).toFixed(1)} s\n`;
    }
  }
  yield `tests ${counts(total)}\n`;
}

function counts(result: FileResult): string {
  const parts = [`${result.passed} passed`];
  if (result.failed > 0) parts.push(`${result.failed} failed`);
  if (result.skipped > 0) parts.push(`${result.skipped} skipped`);
  return parts.join(", ");
}

/** A test that failed only because one inside it did, or never ran because a hook around it failed: that one is reported. */
function isConsequence(error: Error): boolean {
  return "failureType" in error && (error.failureType === "subtestsFailed" || error.failureType === "cancelledByParent");
}

/** Long values (a whole log, a page) would bury the failure; the test by itself shows all of them. */
const LINE_CHARACTERS = 300;
const LINES = 60;

function failure(file: string, name: string, error: Error): string {
  const lines = inspect(error.cause ?? error).split("\n");
  const shown = lines.slice(0, LINES).map((line) => (line.length > LINE_CHARACTERS ? `${line.slice(0, LINE_CHARACTERS)} ...` : line));
  if (lines.length > LINES) shown.push(`... and ${lines.length - LINES} lines more: node --test ${relative(process.cwd(), file)}`);
  const text = shown.join("\n");
  return `\nFAIL  ${relative(process.cwd(), file)}  "${name}"\n${text.replaceAll(/^/gm, "      ")}\n\n`;
}
