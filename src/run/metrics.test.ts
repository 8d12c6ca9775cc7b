import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "./metrics.ts";

test("counters, gauges and histograms print as Prometheus text, sorted by name", () => {
  const metrics = new Metrics();
  const requests = metrics.counter({ name: "requests_total", help: "Requests.", labels: ["code", "path"] });
  const open = metrics.gauge({ name: "open", help: "Open\nconnections." }).with();
  const seconds = metrics.histogram({ name: "latency_seconds", help: "Latency.", labels: ["route"], buckets: [0.1, 1] });
  requests.with("200", '/"quoted"').add();
  requests.with("200", '/"quoted"').add(2);
  requests.with("503", "/").add();
  open.set(5);
  open.add(-1);
  for (const value of [0.05, 0.1, 0.5, 3]) seconds.with("a").observe(value);
  assert.equal(
    metrics.text(),
    `# HELP latency_seconds Latency.
# TYPE latency_seconds histogram
latency_seconds_bucket{route="a",le="0.1"} 2
latency_seconds_bucket{route="a",le="1"} 3
latency_seconds_bucket{route="a",le="+Inf"} 4
latency_seconds_sum{route="a"} 3.65
latency_seconds_count{route="a"} 4
# HELP open Open\\nconnections.
# TYPE open gauge
open 4
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200",path="/\\"quoted\\""} 3
requests_total{code="503",path="/"} 1
`,
  );
});

test("handles stay valid while the family grows, and removed series start from zero", () => {
  const family = new Metrics().counter({ name: "many", help: "Many.", labels: ["i"] });
  const first = family.with("first");
  for (let i = 0; i < 1_000; i += 1) family.with(String(i)).add(i);
  first.add(7);
  assert.equal(family.with("first").value, 7);
  assert.equal(family.with("999").value, 999);
  family.remove("999");
  assert.equal(family.with("new").value, 0);
});

test("a wrong number of labels and a second registration are bugs that are named", () => {
  const metrics = new Metrics();
  const family = metrics.counter({ name: "a", help: "A.", labels: ["x"] });
  assert.throws(() => family.with("1", "2"), /metric a has labels x: got 2 values/);
  assert.throws(() => metrics.gauge({ name: "a", help: "A." }), /registered twice/);
});
