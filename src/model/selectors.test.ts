import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesLabelSelector, matchesRequirements, parseRequirements } from "./selectors.ts";

const labels = { app: "a", tier: "web" };
const cases: readonly (readonly [string, boolean])[] = [
  ["", true],
  ["app=a", true],
  ["app==a,tier=web", true],
  ["app!=a", false],
  ["none!=a", true],
  ["app in (x, a)", true],
  ["app notin (x,a)", false],
  ["app,tier", true],
  ["!app", false],
  ["!none", true],
];
for (const [selector, want] of cases) {
  test(`request selector ${JSON.stringify(selector)} ${want ? "matches" : "does not match"}`, () => {
    const requirements = parseRequirements(selector);
    assert.ok(typeof requirements !== "string");
    assert.equal(matchesRequirements(requirements, labels), want);
  });
}

test("a selector that cannot be read says which part", () => assert.equal(parseRequirements("app in a"), 'unable to parse requirement: "app in a"'));

test("an absent LabelSelector matches nothing and an empty one everything", () => {
  assert.equal(matchesLabelSelector(undefined, labels), false);
  assert.equal(matchesLabelSelector({}, labels), true);
  assert.equal(matchesLabelSelector({ matchExpressions: [{ key: "app", operator: "In", values: ["a"] }] }, labels), true);
  assert.equal(matchesLabelSelector({ matchExpressions: [{ key: "app", operator: "DoesNotExist" }] }, labels), false);
});
