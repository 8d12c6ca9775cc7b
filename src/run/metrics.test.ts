import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "./metrics.ts";

test("counters and gauges print as Prometheus text, sorted by name", () => {
  const metrics = new Metrics();
  const requests = metrics.counter({ name: "requests_total", help: "Requests.", labels: ["code", "path"] });
  const open = metrics.gauge({ name: "open", help: "Open\nconnections." }).with();
  requests.with("200", '/"quoted"').add();
  requests.with("200", '/"quoted"').add(2);
  requests.with("503", "/").add();
  open.set(5);
  open.add(-1);
  assert.equal(
    metrics.text(),
    `# HELP open Open\\nconnections.
# TYPE open gauge
open 4
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200",path="/\\"quoted\\""} 3
requests_total{code="503",path="/"} 1
`,
  );
});

test("a wrong number of labels and a second registration are bugs that are named", () => {
  const metrics = new Metrics();
  const family = metrics.counter({ name: "a", help: "A.", labels: ["x"] });
  assert.throws(() => family.with("1", "2"), /metric a has labels x: got 2 values/);
  assert.throws(() => metrics.gauge({ name: "a", help: "A." }), /registered twice/);
});
