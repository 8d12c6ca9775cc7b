import assert from "node:assert/strict";
import { test } from "node:test";
import { askedOf, focusOn, whyNotHere, type SpecReport } from "./specs.ts";

const spec = (containers: readonly string[] | null, text: string, type = "It"): SpecReport => ({
  LeafNodeType: type,
  ContainerHierarchyTexts: containers,
  LeafNodeText: text,
  State: "passed",
  RunTime: 1,
});

test("what is asked are conformance specs of sig-network, and all of NetworkPolicy", () => {
  const report = [
    {
      SpecReports: [
        spec(["[sig-network] Services"], "should serve [Conformance]"),
        spec(["[sig-network] Services"], "should be nice"),
        spec(["[sig-node] Pods"], "should run [Conformance]"),
        spec(["[sig-network] Netpol", "NetworkPolicy between server and client"], "should deny [Feature:NetworkPolicy]"),
        spec(null, "", "SynchronizedBeforeSuite"),
      ],
    },
    { SpecReports: null },
  ];
  assert.deepEqual(askedOf(report), [
    { name: "[sig-network] Netpol NetworkPolicy between server and client should deny [Feature:NetworkPolicy]", group: "NetworkPolicy" },
    { name: "[sig-network] Services should serve [Conformance]", group: "Conformance" },
  ]);
});

test("a focus matches the very names it was made of", () => {
  const name = "[sig-network] DNS should resolve (a|b) in 2.5 s? [Conformance]";
  const focus = new RegExp(focusOn([name, "other"]));
  assert.ok(focus.test(name));
  assert.ok(!focus.test(`${name} [Slow]`));
});

test("only what needs SCTP cannot run on this machine by its name", () => {
  assert.equal(whyNotHere("[sig-network] Netpol should not mistakenly treat 'protocol: SCTP' as 'protocol: TCP'"), undefined);
  assert.match(whyNotHere("[sig-network] Netpol [Feature:SCTPConnectivity] [LinuxOnly] x") ?? "", /SCTP/);
});
