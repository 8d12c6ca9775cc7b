import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { KubeObject } from "#model/object.ts";
import { withdrawnStatus } from "./withdrawn.ts";

const object = (spec: object, status?: object): KubeObject =>
  ({ apiVersion: "example.org/v1", kind: "Any", metadata: { name: "a", namespace: "shop" }, spec, ...(status === undefined ? {} : { status }) }) as KubeObject;
const condition = (type: string) => ({ type, status: "True", reason: type, message: "" });
const parent = (controllerName: string) => ({ parentRef: { name: "a" }, controllerName, conditions: [] });
const gateway = { addresses: [], conditions: [condition("Accepted"), condition("Programmed")], listeners: [] };

const cases: readonly {
  readonly name: string;
  readonly kind: Parameters<typeof withdrawnStatus>[0];
  readonly in: KubeObject;
  readonly want: object | undefined;
}[] = [
  {
    name: "all conditions of an Istio object are ours",
    kind: "VirtualService",
    in: object({}, { conditions: ["Accepted", "ResolvedRefs", "FullySupported"].map(condition), observedGeneration: "3" }),
    want: { conditions: null, observedGeneration: null },
  },
  {
    name: "a condition of another controller stays",
    kind: "DestinationRule",
    in: object({}, { conditions: [condition("Accepted"), condition("PassedAnalysis")], observedGeneration: "3" }),
    want: { conditions: [condition("PassedAnalysis")] },
  },
  { name: "an object without a status has nothing of ours", kind: "AuthorizationPolicy", in: object({}), want: undefined },
  {
    name: "a Gateway of our class",
    kind: "Gateway",
    in: object({ gatewayClassName: "istio" }, gateway),
    want: { addresses: null, conditions: null, listeners: null },
  },
  { name: "a Gateway of another class is another controller's", kind: "Gateway", in: object({ gatewayClassName: "other" }, gateway), want: undefined },
  {
    name: "a class of users that names us",
    kind: "GatewayClass",
    in: object({ controllerName: "istio.io/gateway-controller" }, { conditions: [condition("Accepted"), condition("SupportedVersion")] }),
    want: { conditions: [condition("SupportedVersion")] },
  },
  {
    name: "a class of another controller",
    kind: "GatewayClass",
    in: object({ controllerName: "example.org/x" }, { conditions: [condition("Accepted")] }),
    want: undefined,
  },
  {
    name: "of a route's parents those that are ours",
    kind: "HTTPRoute",
    in: object({}, { parents: [parent("example.org/x"), parent("weft.dev/gateway-controller")] }),
    want: { parents: [parent("example.org/x")] },
  },
  { name: "a route of others", kind: "HTTPRoute", in: object({}, { parents: [parent("example.org/x")] }), want: undefined },
];

describe("what is taken back of a status", () => {
  for (const { name, kind, in: given, want } of cases) test(name, () => assert.deepEqual(withdrawnStatus(kind, given), want));
});
