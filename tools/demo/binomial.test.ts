import assert from "node:assert/strict";
import { test } from "node:test";
import { binomialBounds } from "./binomial.ts";

test("bounds of a fair coin thrown ten times are exact", () => {
  // P(0) = 1/1024; P(0 or 1) = 11/1024.
  assert.deepEqual(binomialBounds(10, 0.5, 2 / 1025), { low: 0, high: 10 });
  assert.deepEqual(binomialBounds(10, 0.5, 2 / 1023), { low: 1, high: 9 });
});

test("a tenth of a thousand stays within five standard deviations, nearly symmetrically", () => {
  const { low, high } = binomialBounds(1000, 0.1, 1e-6);
  assert.ok(low >= 55 && low <= 60, String(low));
  assert.ok(high >= 148 && high <= 153, String(high));
});
