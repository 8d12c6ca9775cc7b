import assert from "node:assert/strict";
import { test } from "node:test";
import { missingRight } from "./rights.ts";

const BY = "whoever administers the cluster gives it by  kubectl create";

test("a right that is missing is said with how to look for it and what gives it", () => {
  assert.equal(
    missingRight("see nodes", "list nodes"),
    `to see nodes, you need the right to list nodes; look:  kubectl auth can-i list nodes\n      ${BY} clusterrolebinding NAME --clusterrole=weft-reader --user=YOU`,
  );
});

test("kubectl is asked for a part of an object as it wants to be", () => {
  assert.equal(
    missingRight("read", "get pods/proxy in namespace weft-system"),
    `to read, you need the right to get pods/proxy in namespace weft-system; look:  kubectl auth can-i get pods --subresource=proxy -n weft-system\n      ${BY} rolebinding NAME -n weft-system --role=weft-reader --user=YOU`,
  );
});
