/** What proxies are told to allow, by AuthorizationPolicies, is what Istio's reference says: generated policies, all kinds of calls. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decideInbound } from "#decide/why/inbound.ts";
import { imaginedRequest } from "#decide/request-view.ts";
import type { PlanView } from "#decide/why/plan-view.ts";
import { arriving, MeshWorld } from "./mesh-world.ts";
import { isAllowed, type Call, type Policy } from "./policy-by-the-book.ts";
import { isLong, seed } from "./sample.ts";

const mesh = new MeshWorld(`
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: Service
metadata: { name: api, namespace: shop }
spec:
  selector: { app: api }
  ports: [{ name: http, port: 80, targetPort: 8080 }, { name: tcp-db, port: 9000 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: api, namespace: shop }
spec:
  selector: { matchLabels: { app: api } }
  template:
    metadata: { labels: { app: api } }
    spec: { containers: [{ name: api, image: api }] }
`);

/** Where a policy stands, and whom it selects. */
interface Placed extends Policy {
  readonly namespace: "shop" | "istio-system" | "elsewhere";
  readonly app: "api" | "other" | undefined;
}

function manifest({ action, rules, namespace, app }: Placed, i: number): object {
  return {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: `policy-${i}`, namespace },
    spec: { action, rules, ...(app === undefined ? {} : { selector: { matchLabels: { app } } }) },
  };
}

const concernsApi = ({ namespace, app }: Placed): boolean => namespace !== "elsewhere" && app !== "other";

function letIn(view: PlanView, { principal, ip, port, http }: Call): boolean {
  const connection = arriving(principal === undefined ? "plain" : "mesh TLS", port, principal && `spiffe://${principal}`, ip);
  const request = imaginedRequest(
    http === undefined ? { authority: "" } : { method: http.method, path: http.path, authority: http.host, headers: http.headers },
  );
  const { hops, effect } = decideInbound(view, connection, request);
  return effect === undefined && hops.every(({ verdict }) => verdict === undefined || verdict === "allowed");
}

const web = "cluster.local/ns/shop/sa/web";
const stranger = "cluster.local/ns/outside/sa/stranger";
const calls: readonly Call[] = [web, stranger, undefined].flatMap((principal) =>
  ["10.1.2.3", "10.9.0.1"].flatMap((ip): Call[] => [
    { principal, ip, port: 9000, http: undefined },
    { principal, ip, port: 7000, http: undefined },
    ...["GET", "POST"].flatMap((method) =>
      ["/", "/public/a", "/public/../admin", "/admin?x=/public/", "/admin/x"].flatMap((path) =>
        [{}, { "x-team": "red" }].map((headers) => ({ principal, ip, port: 8080, http: { method, path, host: "API.shop", headers } })),
      ),
    ),
  ]),
);

const some = (...values: readonly string[]) => fc.subarray([...values], { minLength: 1, maxLength: Math.min(2, values.length) });
const principals = some(web, stranger, "cluster.local/ns/shop/*", "*/sa/stranger", "*", "cluster.local/ns/none/sa/x");
const namespaces = some("shop", "out*", "*", "*side", "none");
const blocks = some("10.1.0.0/16", "10.9.0.1", "192.168.0.0/16");
const ports = some("8080", "9000", "7000", "1");
const methods = some("GET", "POST", "P*", "*");
const paths = some("/public/*", "/admin", "/admin*", "*/x", "*", "/a/{*}");
const hosts = some("api.shop", "*.shop", "other");

/** One to three of the fields, each perhaps negated too. */
function fields(of: Readonly<Record<string, fc.Arbitrary<string[]>>>): fc.Arbitrary<Record<string, string[]>> {
  const entries = Object.entries(of).flatMap(([name, values]) => [
    [name, values] as const,
    [`not${name.charAt(0).toUpperCase()}${name.slice(1)}`, values] as const,
  ]);
  return fc.subarray(entries, { minLength: 1, maxLength: 3 }).chain((chosen) => fc.record(Object.fromEntries(chosen)));
}

const source = fields({ principals, namespaces, ipBlocks: blocks, requestPrincipals: some("a/b", "*") });
const operation = fields({ ports, methods, paths, hosts });
const condition = fc.oneof(
  fc.record({ key: fc.constant("source.namespace"), values: namespaces }),
  fc.record({ key: fc.constant("source.principal"), notValues: principals }),
  fc.record({ key: fc.constant("source.ip"), values: blocks }),
  fc.record({ key: fc.constant("destination.port"), values: ports }),
  fc.record({ key: fc.constant("request.headers[x-team]"), values: some("red", "r*", "*", "blue") }),
  fc.record({ key: fc.constant("request.headers[x-team]"), notValues: some("red", "blue") }),
  fc.record({ key: fc.constant("request.auth.claims[iss]"), values: some("x") }),
);
const rule = fc.record(
  {
    from: fc.array(fc.record({ source }), { minLength: 1, maxLength: 2 }),
    to: fc.array(fc.record({ operation }), { minLength: 1, maxLength: 2 }),
    when: fc.array(condition, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const policy: fc.Arbitrary<Placed> = fc.record({
  action: fc.constantFrom("ALLOW" as const, "ALLOW" as const, "DENY" as const),
  rules: fc.array(rule, { maxLength: 2 }),
  namespace: fc.constantFrom("shop" as const, "shop" as const, "istio-system" as const, "elsewhere" as const),
  app: fc.constantFrom("api" as const, undefined, undefined, "other" as const),
});

test(`generated AuthorizationPolicies decide as by the book (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.array(policy, { minLength: 1, maxLength: 3 }), (policies) => {
      mesh.have(policies.map(manifest));
      const view = mesh.planOf("shop/api");
      const concerning = policies.filter(concernsApi);
      for (const call of calls) assert.equal(letIn(view, call), isAllowed(call, concerning), JSON.stringify(call));
    }),
    { seed, numRuns: isLong ? 1000 : 60 },
  );
});

describe("Istio's own examples of what TCP does with rules about HTTP", () => {
  const at9000: Call = { principal: web, ip: "10.1.2.3", port: 9000, http: undefined };
  const cases: readonly { readonly what: string; readonly policy: Policy; readonly allowed: boolean }[] = [
    { what: "ALLOW by port", policy: { action: "ALLOW", rules: [{ to: [{ operation: { ports: ["9000"] } }] }] }, allowed: true },
    {
      what: "ALLOW by port and method: the rule is void, and nothing is allowed",
      policy: { action: "ALLOW", rules: [{ to: [{ operation: { ports: ["9000"], methods: ["GET"] } }] }] },
      allowed: false,
    },
    {
      what: "ALLOW with a second alternative that TCP could tell: the rule is void all the same",
      policy: { action: "ALLOW", rules: [{ to: [{ operation: { methods: ["GET"] } }, { operation: { ports: ["9000"] } }] }] },
      allowed: false,
    },
    {
      what: "ALLOW with a second rule that TCP can tell",
      policy: { action: "ALLOW", rules: [{ to: [{ operation: { methods: ["GET"] } }] }, { to: [{ operation: { ports: ["9000"] } }] }] },
      allowed: true,
    },
    { what: "DENY by method: all of the port is denied", policy: { action: "DENY", rules: [{ to: [{ operation: { methods: ["GET"] } }] }] }, allowed: false },
    {
      what: "DENY by method and another port: the port still counts",
      policy: { action: "DENY", rules: [{ to: [{ operation: { methods: ["GET"], ports: ["9001"] } }] }] },
      allowed: true,
    },
    { what: "ALLOW without rules allows nothing", policy: { action: "ALLOW", rules: [] }, allowed: false },
    { what: "DENY without rules denies nothing", policy: { action: "DENY", rules: [] }, allowed: true },
    { what: "ALLOW with an empty rule allows everything", policy: { action: "ALLOW", rules: [{}] }, allowed: true },
    { what: "DENY with an empty rule denies everything", policy: { action: "DENY", rules: [{}] }, allowed: false },
  ];
  for (const { what, policy: written, allowed } of cases) {
    test(what, () => {
      mesh.have([manifest({ ...written, namespace: "shop", app: "api" }, 0)]);
      assert.equal(letIn(mesh.planOf("shop/api"), at9000), allowed);
      assert.equal(isAllowed(at9000, [written]), allowed, "the book agrees");
    });
  }
});
