/**
 * Istio's own Bookinfo runs unchanged, on an embedded cluster and on Kubernetes: every file that users know is applied as upstream
 * wrote it, with images of ours under its names, and requests through the gateway show what each asks for. What Weft does
 * not do is named on the file's status.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { binomialBounds } from "#tools/demo/binomial.ts";
import { get, reviewsVersion, tally } from "#tools/demo/requests.ts";
import { conditionsOf, eventually } from "../cluster/mesh-cluster.ts";

export interface BookinfoWorld {
  readonly gateway: string;
  /** Answers what the API warned of, where it warns: a real API server does not know what Weft leaves out. */
  apply(...files: readonly string[]): Promise<readonly string[]>;
  readonly warns: boolean;
  remove(...files: readonly string[]): Promise<void>;
  /** Of the API: "/apis/...". */
  get<T>(path: string): Promise<T>;
  /** HTTP status that a machine beside the nodes gets. */
  statusFromOutside(url: string): Promise<string>;
}

const checkout = join(import.meta.dirname, "../..");
const upstream = join(checkout, "../shared/upstream/istio/samples/bookinfo");
/** Why it cannot run; false when it can. */
export const missing = existsSync(upstream)
  ? false
  : `no ${upstream}: git clone --depth 1 https://github.com/istio/istio there (only samples/bookinfo is read) to run this`;
if (missing !== false) process.stderr.write(`SKIPPED bookinfo-upstream: ${missing}\n`);

const REVIEWS = "/api/v1/products/0/reviews";
/** Enough that a share which is wrong by a third shows, and few enough for a small machine. */
const REQUESTS = Number(process.env["WEFT_TEST_LONG"] ?? 0) === 1 ? 2000 : 400;
/** One run in a million may fail by chance. */
const ERROR = 1e-6;
const ISTIO = "/apis/networking.istio.io/v1/namespaces/default";
const GATEWAY_API = "/apis/gateway.networking.k8s.io/v1/namespaces/default";

/** Shares of reviews' versions, for anybody and for the user jason. */
interface Shares {
  /** Not the routes share, but the balancer among endpoints of one cluster: least request, so a faster version gets more of what is asked at once. */
  readonly isBalanced?: true;
  readonly anybody: Readonly<Record<string, number>>;
  readonly jason?: string;
}

let cluster: BookinfoWorld;
let jason: Record<string, string>;

export const file = (name: string): string => join(upstream, name);
const ask = (headers: Record<string, string> = {}): Promise<string> => get(cluster.gateway + REVIEWS, headers).then(reviewsVersion);
const said = (counts: ReadonlyMap<string, number>): string =>
  [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([version, count]) => `${version} ${count}`)
    .join(", ");

/** Asks until only these versions answer, and each of them does. */
async function settled(versions: readonly string[], headers: Record<string, string> = {}): Promise<void> {
  const counts = await eventually(
    () => tally(60, () => ask(headers)),
    (seen) => seen.size === versions.length && versions.every((version) => seen.has(version)),
  );
  assert.equal([...counts.keys()].sort((a, b) => (a < b ? -1 : 1)).join(" "), versions.join(" "), said(counts));
}

async function shows({ anybody, jason: forJason, isBalanced }: Shares): Promise<void> {
  const versions = Object.keys(anybody);
  // A share of a tenth is not in every sample of 60: only what is much larger, or alone, tells that the routes have come.
  await (Math.min(...Object.values(anybody)) > 0.15
    ? settled(versions)
    : eventually(
        () => tally(60, () => ask()),
        (seen) => seen.size > 1,
      ));
  if (forJason !== undefined) await settled([forJason], jason);
  const counts = await tally(REQUESTS, () => ask(), isBalanced ? 1 : undefined);
  for (const [version, share] of Object.entries(anybody)) {
    const { low, high } = share === 1 ? { low: REQUESTS, high: REQUESTS } : binomialBounds(REQUESTS, share, ERROR);
    const count = counts.get(version) ?? 0;
    assert.ok(count >= low && count <= high, `${version} answered ${count} of ${REQUESTS}, which should be ${low} to ${high}; all: ${said(counts)}`);
  }
  const total = versions.reduce((sum, version) => sum + (counts.get(version) ?? 0), 0);
  assert.equal(total, REQUESTS, `nothing else answers: ${said(counts)}`);
}

/** All conditions hold, but for subsets of versions that run nowhere (upstream's rules have some): those are named. */
async function accepted(...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const conditions = [...(await conditionsOf(cluster, path)).values()];
    assert.ok(conditions.length > 0, `${path} has conditions`);
    for (const { type, status, reason, message } of conditions) {
      if (reason === "NoMatchingPods") assert.match(message, /^spec\.subsets\[\d\]\.labels select no pod/);
      else assert.equal(status, "True", `${path} ${type}: ${message}`);
    }
  }
}

async function pageAnswers(): Promise<void> {
  const page = await eventually(
    () => get(`${cluster.gateway}/productpage`).catch((error: unknown) => ({ status: 0, headers: {}, body: String(error) })),
    ({ status, body }) => status === 200 && !body.includes("Error fetching"),
  );
  assert.equal(page.status, 200, page.body);
  assert.match(page.body, /Comedy of Errors/);
  assert.doesNotMatch(page.body, /Error fetching/);
}

async function signIn(): Promise<Record<string, string>> {
  const answer = await fetch(`${cluster.gateway}/login`, { method: "POST", body: new URLSearchParams({ username: "jason" }), redirect: "manual" });
  const cookie = answer.headers.getSetCookie()[0]?.split(";", 1)[0];
  assert.ok(cookie, `signing in gives a cookie: ${answer.status}`);
  return { cookie };
}

const even = { v1: 1 / 3, v2: 1 / 3, v3: 1 / 3 };
const v1Only: Shares = { anybody: { v1: 1 } };

/** In the order of the files' names; each starts from virtual-service-all-v1.yaml. */
const virtualServices: readonly (readonly [string, Shares])[] = [
  ["virtual-service-reviews-50-v3.yaml", { anybody: { v1: 0.5, v3: 0.5 } }],
  ["virtual-service-reviews-80-20.yaml", { anybody: { v1: 0.8, v2: 0.2 } }],
  ["virtual-service-reviews-90-10.yaml", { anybody: { v1: 0.9, v2: 0.1 } }],
  ["virtual-service-reviews-jason-v2-v3.yaml", { anybody: { v3: 1 }, jason: "v2" }],
  ["virtual-service-reviews-test-v2.yaml", { anybody: { v1: 1 }, jason: "v2" }],
  ["virtual-service-reviews-v2-v3.yaml", { anybody: { v2: 0.5, v3: 0.5 } }],
  ["virtual-service-reviews-v3.yaml", { anybody: { v3: 1 } }],
];

const httpRoutes: readonly (readonly [string, Shares])[] = [
  ["route-reviews-50-v3.yaml", { anybody: { v1: 0.5, v3: 0.5 } }],
  ["route-reviews-90-10.yaml", { anybody: { v1: 0.9, v2: 0.1 } }],
  ["route-reviews-v3.yaml", { anybody: { v3: 1 } }],
  ["route-reviews-v1.yaml", { anybody: { v1: 1 } }],
];

/** Files for versions that kube/bookinfo.yaml does not bring: which field has nobody to send requests to. */
const withoutPods: readonly (readonly [string, string])[] = [
  ["virtual-service-details-v2.yaml", "details"],
  ["virtual-service-ratings-db.yaml", "ratings"],
  ["virtual-service-ratings-mysql.yaml", "ratings"],
];

/** Files with parts that Weft does not do yet: the status names the field, and the rest of the file holds. */
const beyond: readonly (readonly [string, string, RegExp])[] = [
  ["fault-injection-details-v1.yaml", "details", /^spec\.http\[0\]\.fault is not enforced \(not supported yet\)$/],
  ["virtual-service-ratings-test-abort.yaml", "ratings", /^spec\.http\[0\]\.fault is not enforced \(not supported yet\)$/],
  ["virtual-service-ratings-test-delay.yaml", "ratings", /^spec\.http\[0\]\.fault is not enforced \(not supported yet\)$/],
];

/** What the pods are: before the tests, in a namespace whose pods get proxies. */
export const PODS = [file("kube/bookinfo.yaml"), file("kube/bookinfo-versions.yaml")];

/** Defines the tests; each starts from what those before it left. */
export function upstreamBookinfo(world: () => BookinfoWorld): void {
  test("pods and services of kube/bookinfo.yaml come up behind the gateway of networking/bookinfo-gateway.yaml", async () => {
    cluster = world();
    assert.deepEqual(await cluster.apply(file("networking/bookinfo-gateway.yaml")), []);
    await pageAnswers();
    jason = await signIn();
    await accepted(`${ISTIO}/gateways/bookinfo-gateway`, `${ISTIO}/virtualservices/bookinfo`);
    await shows({ anybody: even, isBalanced: true });
  });

  test("the gateway serves what upstream's routes name and nothing else", async () => {
    for (const path of ["/api/v1/products", "/login", "/logout", "/static/"]) {
      assert.notEqual((await get(cluster.gateway + path)).headers["x-envoy-upstream-service-time"], undefined, `${path} reaches productpage`);
    }
    for (const path of ["/", "/productpage/x", "/api/v1/other"]) assert.equal((await get(cluster.gateway + path)).status, 404, path);
  });

  for (const rules of ["destination-rule-all.yaml", "destination-rule-all-mtls.yaml"]) {
    test(`${rules} is accepted, and virtual-service-all-v1.yaml sends all to v1`, async () => {
      assert.deepEqual(await cluster.apply(file(`networking/${rules}`)), []);
      assert.deepEqual(await cluster.apply(file("networking/virtual-service-all-v1.yaml")), []);
      const names = ["productpage", "reviews", "ratings", "details"];
      await accepted(...names.flatMap((name) => [`${ISTIO}/destinationrules/${name}`, `${ISTIO}/virtualservices/${name}`]));
      await shows(v1Only);
      await pageAnswers();
    });
  }

  for (const [name, shares] of virtualServices) {
    test(`${name} does what it says`, async () => {
      await cluster.apply(file("networking/virtual-service-all-v1.yaml"));
      await settled(["v1"]);
      assert.deepEqual(await cluster.apply(file(`networking/${name}`)), []);
      await accepted(`${ISTIO}/virtualservices/reviews`);
      await shows(shares);
    });
  }

  for (const [name, service] of withoutPods) {
    test(`${name}: its status tells that nobody runs that version`, async () => {
      await cluster.apply(file(`networking/${name}`));
      const { status, reason, message } = (await conditionsOf(cluster, `${ISTIO}/virtualservices/${service}`)).get("ResolvedRefs") ?? {};
      assert.equal(`${status} ${reason}`, "False NoMatchingPods");
      assert.match(message ?? "", /^spec\.http\[0\]\.route\[0\]\.destination\.subset: "v2(-mysql)?" has no pod \(version=v2(-mysql)?\)/);
    });
  }

  for (const [name, service, says] of beyond) {
    test(`${name}: its status names what is not done`, async () => {
      const warnings = await cluster.apply(file(`networking/${name}`));
      if (cluster.warns) assert.match(warnings.join("\n"), /spec\.http\[0\]\.fault is not enforced/);
      const { status, message } = (await conditionsOf(cluster, `${ISTIO}/virtualservices/${service}`)).get("FullySupported") ?? {};
      assert.equal(status, "False");
      assert.match(message ?? "", says);
      await pageAnswers();
    });
  }

  test("kinds that Weft does not know are refused by name", async () => {
    await assert.rejects(
      cluster.apply(file("networking/egress-rule-google-apis.yaml")),
      /no matches for kind "ServiceEntry" in version "networking.istio.io\/v1"/,
    );
  });

  test("bookinfo-gateway.yaml of gateway-api answers at the address in its status when Istio's is gone", async () => {
    await cluster.remove(...["networking/virtual-service-all-v1.yaml", "networking/destination-rule-all.yaml", "networking/bookinfo-gateway.yaml"].map(file));
    const gone = await eventually(
      () =>
        get(`${cluster.gateway}/productpage`).then(
          ({ status }) => status,
          () => 0,
        ),
      (status) => status !== 200,
    );
    assert.ok(gone === 404 || gone === 0, `no Gateway is left: ${gone}`);
    assert.deepEqual(await cluster.apply(file("gateway-api/bookinfo-gateway.yaml")), []);
    await pageAnswers();
    await accepted(`${GATEWAY_API}/httproutes/bookinfo`);
    const { status } = await cluster.get<{ status: { addresses: readonly { value: string }[] } }>(`${GATEWAY_API}/gateways/bookinfo-gateway`);
    const [address] = status.addresses;
    // Who programs the address (a kube-proxy, in profile mesh) hears of it when the status's reader does, and takes a second.
    const answer = () => cluster.statusFromOutside(`http://${address?.value ?? ""}/productpage`);
    assert.equal(await eventually(answer, (code) => code === "200"), "200");
    await shows({ anybody: even, isBalanced: true });
  });

  test("route-all-v1.yaml sends all to v1", async () => {
    assert.deepEqual(await cluster.apply(file("gateway-api/route-all-v1.yaml")), []);
    await accepted(...["reviews", "productpage", "ratings", "details"].map((name) => `${GATEWAY_API}/httproutes/${name}`));
    await shows(v1Only);
    await pageAnswers();
  });

  for (const [name, shares] of httpRoutes) {
    test(`gateway-api/${name} does what it says`, async () => {
      await cluster.apply(file("gateway-api/route-all-v1.yaml"));
      await settled(["v1"]);
      assert.deepEqual(await cluster.apply(file(`gateway-api/${name}`)), []);
      await accepted(`${GATEWAY_API}/httproutes/reviews`);
      await shows(shares);
    });
  }
}
