import assert from "node:assert/strict";
import { test } from "node:test";
import { nearNames } from "./near-names.ts";

const names = ["productpage-v1-7d6f9-x2lmq", "ratings", "ratings-v1-5c8d7-b4kzr", "reviews.shop", "node-1", "gateway"];
const cases: readonly { readonly written: string; readonly want: readonly string[] }[] = [
  { written: "prodctpage", want: ["productpage-v1-7d6f9-x2lmq"] },
  { written: "rating", want: ["ratings", "ratings-v1-5c8d7-b4kzr"] },
  { written: "ratigns", want: ["ratings", "ratings-v1-5c8d7-b4kzr"] },
  { written: "reviews", want: ["reviews.shop"] },
  { written: "shop/reviews", want: ["reviews.shop"] },
  { written: "nothing-like-it", want: [] },
];
for (const { written, want } of cases)
  test(`"${written}" is near ${want.length === 0 ? "nothing" : want.join(" and ")}`, () => assert.deepEqual(nearNames(written, names), want));
