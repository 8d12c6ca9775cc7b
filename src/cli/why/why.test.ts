/** `weft why -f`: from manifests alone, in a machine of memory. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FileFacts } from "#host/files.ts";
import type { Answer } from "./question.ts";
import { CliError, type CliContext } from "#cli/context.ts";
import { why, type WhyOptions } from "./why.ts";

const mesh = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio-injection: enabled } }
${workload("api-v1", "shop", { app: "api", version: "v1" })}
${workload("api-v2", "shop", { app: "api", version: "v2" })}
${workload("web", "shop", { app: "web" })}
${workload("legacy", "outside", { app: "legacy" })}
${service("api", 8080)}
${service("web", 80)}
${service("nobody", 80)}
---
apiVersion: v1
kind: Service
metadata: { name: heads, namespace: shop }
spec: { clusterIP: None, selector: { app: web }, ports: [{ name: tcp, port: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: alias, namespace: shop }
spec: { type: ExternalName, externalName: web.shop.svc.cluster.local }
---
apiVersion: v1
kind: Service
metadata: { name: world, namespace: shop }
spec: { type: ExternalName, externalName: example.org }
---
apiVersion: v1
kind: Service
metadata: { name: names, namespace: shop }
spec: { selector: { app: api }, ports: [{ name: dns, port: 53, protocol: UDP, targetPort: 8080 }, { name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: api, namespace: shop }
spec: { host: api, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
`;

function workload(name: string, namespace: string, labels: Readonly<Record<string, string>>): string {
  return `---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  selector: { matchLabels: ${JSON.stringify(labels)} }
  template:
    metadata: { labels: ${JSON.stringify(labels)} }
    spec: { serviceAccountName: ${labels["app"] ?? name}, containers: [{ name: app, image: app, ports: [{ containerPort: 8080 }] }] }`;
}

function service(app: string, port: number): string {
  return `---
apiVersion: v1
kind: Service
metadata: { name: ${app}, namespace: shop }
spec: { selector: { app: ${app} }, ports: [{ name: http, port: ${port}, targetPort: 8080 }] }`;
}

const strict = `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }`;

const onlyWebReads = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: api, namespace: shop }
spec:
  selector: { matchLabels: { app: api } }
  rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/web] } }], to: [{ operation: { methods: [GET], paths: ["/public*"] } }] }]`;

const denyV2 = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-v2, namespace: shop }
spec: { action: DENY, selector: { matchLabels: { version: v2 } }, rules: [{}] }`;

const cutApi = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: cut, namespace: shop }
spec: { podSelector: { matchLabels: { app: api } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: api } } }] }] }`;

const steer = `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: api, namespace: shop }
spec:
  hosts: [api]
  http:
    - match: [{ headers: { end-user: { exact: jason } } }]
      route: [{ destination: { host: api, subset: v2 } }]
    - match: [{ uri: { prefix: /broken } }]
      route: [{ destination: { host: api, subset: v9 } }]
    - match: [{ uri: { prefix: /public } }]
      route: [{ destination: { host: api, subset: v1 } }]`;

const edge = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: weft, listeners: [{ name: http, port: 80, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: edge, namespace: shop }
spec: { parentRefs: [{ name: edge }], rules: [{ matches: [{ path: { value: /public } }], backendRefs: [{ name: api, port: 8080 }] }] }`;

const noDns = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: mute, namespace: shop }
spec: { podSelector: { matchLabels: { app: web } }, policyTypes: [Egress] }`;

const onGet = (action: string): string => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: api, namespace: shop }
spec: { hosts: [api], http: [{ ${action} }] }`;

const admins = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: api, namespace: shop }
spec:
  selector: { matchLabels: { app: api } }
  rules: [{ to: [{ operation: { paths: ["/public*"] } }], when: [{ key: "request.headers[x-role]", values: [admin] }] }]`;

async function ask(text: string, from: string, to: string, options: Partial<WhyOptions> = {}) {
  let printed = "";
  let warned = "";
  const facts: FileFacts = { kind: "file", sizeBytes: text.length, modifiedMs: 0, mode: 0o644 };
  const files = { stat: async () => facts, readText: async () => text };
  const context = {
    host: { files },
    terminal: { out: (line: string) => (printed += line), err: (line: string) => (warned += line), color: false },
  } as unknown as CliContext;
  const all: WhyOptions = { name: "default", namespace: "shop", method: "GET", header: [], file: ["mesh.yaml"], short: false, ...options };
  const status = await why(context, from, to, all);
  return { status, printed, warned };
}

async function answer(text: string, from: string, to: string, options: Partial<WhyOptions> = {}) {
  const { status, printed } = await ask(text, from, to, { ...options, output: "json" });
  const { verdict, hops, effect, hint, ways, notes } = JSON.parse(printed) as Answer;
  const last = hops.findLast((hop) => hop.verdict === verdict);
  const by = last?.by === undefined ? undefined : `${last.by.kind} ${last.by.namespace ?? ""}/${last.by.name} ${last.by.field}`.trim();
  return { status, verdict, by, effect, hint, hops, ways, notes };
}

describe("weft why, from manifests", () => {
  const cases: { name: string; with: string; from: string; to: string; options?: Partial<WhyOptions>; want: string; by?: string; effect?: string }[] = [
    { name: "nothing forbids it", with: "", from: "web", to: "api", want: "allowed" },
    { name: "from outside the mesh, where plain text is accepted", with: "", from: "outside/legacy", to: "api.shop:8080", want: "allowed" },
    {
      name: "from outside the mesh under STRICT",
      with: strict,
      from: "outside/legacy",
      to: "api.shop:8080",
      want: "denied",
      by: "PeerAuthentication istio-system/default spec.mtls.mode",
      effect: "connection closed",
    },
    { name: "from inside the mesh under STRICT", with: strict, from: "deploy/web", to: "svc/api", want: "allowed" },
    { name: "what an ALLOW rule covers", with: onlyWebReads, from: "web", to: "api", options: { path: "/public/1" }, want: "allowed" },
    {
      name: "a path that no ALLOW rule covers",
      with: onlyWebReads,
      from: "web",
      to: "api",
      options: { path: "/private" },
      want: "denied",
      by: "AuthorizationPolicy shop/api spec.rules[0]",
      effect: "403",
    },
    {
      name: "a method that no ALLOW rule covers",
      with: onlyWebReads,
      from: "web",
      to: "api",
      options: { path: "/public", method: "POST" },
      want: "denied",
      effect: "403",
    },
    { name: "a caller that no ALLOW rule covers", with: onlyWebReads, from: "api-v1", to: "api", options: { path: "/public" }, want: "denied", effect: "403" },
    { name: "a caller without identity", with: onlyWebReads, from: "outside/legacy", to: "api.shop:8080", options: { path: "/public" }, want: "denied" },
    { name: "one of two endpoints denies", with: denyV2, from: "web", to: "api", want: "unknown" },
    {
      name: "the route leads to the endpoint that denies",
      with: `${denyV2}\n${steer}`,
      from: "web",
      to: "api",
      options: { header: ["end-user=jason"] },
      want: "denied",
      by: "AuthorizationPolicy shop/no-v2 spec.rules[0]",
    },
    { name: "the route leads to the other one", with: `${denyV2}\n${steer}`, from: "web", to: "api", options: { path: "/public" }, want: "allowed" },
    { name: "no route matches", with: steer, from: "web", to: "api", options: { path: "/elsewhere" }, want: "denied", effect: "404" },
    {
      name: "a subset that does not exist",
      with: steer,
      from: "web",
      to: "api",
      options: { path: "/broken" },
      want: "denied",
      effect: "503",
      by: "VirtualService shop/api spec.http[1].match[0]",
    },
    { name: "a NetworkPolicy cuts the pod off", with: cutApi, from: "web", to: "api", want: "denied", by: "NetworkPolicy shop/cut", effect: "503 after 10 s" },
    { name: "a NetworkPolicy lets its own kind in", with: cutApi, from: "api-v1", to: "api", want: "allowed" },
    { name: "through the gateway", with: edge, from: "outside", to: "gateway", options: { path: "/public/x" }, want: "allowed" },
    { name: "no route at the gateway", with: edge, from: "outside", to: "gateway", options: { path: "/private" }, want: "denied", effect: "404" },
    { name: "no Gateway at all", with: "", from: "outside", to: "gateway", want: "denied", effect: "connection refused" },
    {
      name: "the gateway's identity is not the web's",
      with: `${edge}\n${onlyWebReads}`,
      from: "gateway",
      to: "api",
      options: { path: "/public" },
      want: "denied",
      effect: "403",
    },
    {
      name: "a pod by its own address is passed through in plain text",
      with: strict,
      from: "web",
      to: "deploy/api-v1",
      want: "denied",
      effect: "503",
    },
    { name: "a Service without endpoints", with: "", from: "web", to: "nobody", want: "denied", effect: "503", by: "Service shop/nobody spec.ports[0]" },
    {
      name: "a Service without endpoints, from outside the mesh",
      with: "",
      from: "outside/legacy",
      to: "nobody.shop",
      want: "denied",
      effect: "connection refused",
    },
    { name: "a port that the Service does not have", with: "", from: "outside/legacy", to: "api.shop:99", want: "denied", effect: "connection refused" },
    { name: "a port by its name", with: "", from: "web", to: "names:http", want: "allowed" },
    { name: "UDP goes past proxies", with: strict, from: "outside/legacy", to: "names.shop:53/udp", want: "allowed" },
    { name: "a headless Service", with: "", from: "api-v1", to: "heads", want: "allowed" },
    { name: "an alias in the cluster", with: "", from: "web", to: "alias", want: "allowed" },
    { name: "an alias of a name of the world", with: "", from: "web", to: "world", want: "unknown" },
    { name: "a URL", with: onlyWebReads, from: "web", to: "http://api.shop.svc.cluster.local:8080/public/1?x", want: "allowed" },
    { name: "TLS of the client's own on a port that is HTTP", with: "", from: "web", to: "https://api:8080/", want: "denied", effect: "400" },
    { name: "a pod that calls itself through its Service", with: strict, from: "api-v1", to: "api", want: "allowed" },
    { name: "a node", with: "", from: "node-1", to: "deploy/api-v1", want: "allowed" },
    { name: "a machine outside has no way to a Service", with: "", from: "outside", to: "api", want: "denied", by: "Service shop/api spec.type" },
    { name: "a machine outside has no way to a pod", with: "", from: "outside", to: "deploy/api-v1", want: "denied", effect: "no answer" },
    { name: "a policy that forgets DNS", with: noDns, from: "web", to: "api", want: "denied", effect: "no such name", by: "NetworkPolicy shop/mute" },
    {
      name: "a path is normalized before it is judged",
      with: onlyWebReads,
      from: "web",
      to: "api",
      options: { path: "/public/../private" },
      want: "denied",
      effect: "403",
    },
    {
      name: "what a route makes of the request is what the server judges",
      with: `${onlyWebReads}\n${onGet("rewrite: { uri: /private }, route: [{ destination: { host: api } }]")}`,
      from: "web",
      to: "api",
      options: { path: "/public" },
      want: "denied",
      effect: "403",
    },
    {
      name: "a header that a route sets lets the request in",
      with: `${admins}\n${onGet("headers: { request: { set: { x-role: admin } } }, route: [{ destination: { host: api } }]")}`,
      from: "web",
      to: "api",
      options: { path: "/public" },
      want: "allowed",
    },
    { name: "a route that answers itself", with: onGet("directResponse: { status: 418 }"), from: "web", to: "api", want: "denied", effect: "418" },
    { name: "a route that redirects", with: onGet("redirect: { uri: /there }"), from: "web", to: "api", want: "allowed", effect: "301" },
    {
      name: "a client that speaks mTLS where DISABLE is asked for",
      with: `${strict.replace("STRICT", "DISABLE")}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: a-first, namespace: shop }\nspec: { host: web, trafficPolicy: { tls: { mode: ISTIO_MUTUAL } } }`,
      from: "api-v1",
      to: "web",
      want: "denied",
      effect: "503",
      by: "PeerAuthentication istio-system/default spec.mtls.mode",
    },
    { name: "a name that does not exist", with: "", from: "web", to: "nosuch.shop.svc.cluster.local:80", want: "denied" },
    { name: "a name of the world", with: "", from: "web", to: "example.org:80", want: "unknown" },
    { name: "an address that is no pod", with: "", from: "web", to: "203.0.113.7:80", want: "unknown" },
  ];
  for (const each of cases) {
    it(`${each.name}: ${each.want}`, async () => {
      const got = await answer(`${mesh}\n${each.with}`, each.from, each.to, each.options);
      assert.equal(got.verdict, each.want, JSON.stringify(got.hops, undefined, 1));
      assert.equal(got.status, { allowed: 0, denied: 1, unknown: 2 }[each.want]);
      if (each.by !== undefined) assert.equal(got.by, each.by);
      if (each.effect !== undefined) assert.equal(got.effect, each.effect);
      for (const hop of got.hops)
        assert.deepEqual(
          Object.keys(hop).filter((key) => !["hop", "text", "by", "known", "verdict"].includes(key)),
          [],
        );
    });
  }

  it("says what to change where that is clear", async () => {
    const { hint } = await answer(mesh + onlyWebReads, "api-v1", "api", { path: "/public" });
    assert.equal(hint, 'add "cluster.local/ns/shop/sa/api" to spec.rules[0].from[0].source.principals of AuthorizationPolicy shop/api');
  });

  it("is one line when it is to be short", async () => {
    const { printed } = await ask(mesh + onlyWebReads, "web", "api", { path: "/private", short: true });
    assert.equal(printed, "DENIED  by AuthorizationPolicy shop/api spec.rules[0]   403\n");
  });

  it("lists the hops in order, each with its source and how it is known", async () => {
    const { hops } = await answer(mesh + strict, "web", "api");
    assert.deepEqual(
      hops.map(({ hop, known }) => `${hop}: ${known}`),
      [
        "name: executed",
        "interception: modelled",
        "proxy out: executed",
        "route: executed",
        "endpoint: executed",
        "identity: executed",
        "neighbour: modelled",
        "policy out: modelled",
        "policy in: modelled",
        "wire: modelled",
        "interception: modelled",
        "filter chain: executed",
        "mTLS: executed",
        "proxy in: executed",
        "route: executed",
      ],
    );
  });

  it("says that nobody but the mesh's default made it PERMISSIVE", async () => {
    const { hops } = await answer(mesh, "web", "api");
    const mtls = hops.find(({ hop }) => hop === "mTLS");
    assert.match(mtls?.text ?? "", /^PERMISSIVE \(the mesh's default/);
    assert.equal(mtls?.by, undefined);
  });

  it("tells weights, and where each share of the traffic ends", async () => {
    const split = onGet("route: [{ destination: { host: api, subset: v1 }, weight: 75 }, { destination: { host: api, subset: v2 }, weight: 25 }]");
    const { hops, ways } = await answer(`${mesh}\n${split}\n${denyV2}`, "web", "api");
    assert.match(hops.find(({ hop }) => hop === "route")?.text ?? "", /subset v1 \(75%\), .* subset v2 \(25%\)/);
    assert.deepEqual(
      ways.map(({ share, verdict, effect }) => [share, verdict, effect]),
      [
        [0.75, "allowed", undefined],
        [0.25, "denied", "403"],
      ],
    );
  });

  it("tells timeouts, and what it does not do", async () => {
    const slow = onGet("timeout: 2s, fault: { delay: { fixedDelay: 7s, percentage: { value: 100 } } }, route: [{ destination: { host: api } }]");
    const { hops, notes } = await answer(`${mesh}\n${slow}`, "web", "api");
    assert.match(hops.find(({ hop }) => hop === "route")?.text ?? "", /timeout 2 s/);
    assert.ok(notes.some((note) => note.startsWith("VirtualService shop/api spec.http[0].fault")) || hops.some(({ text }) => /delay/.test(text)), notes.join());
  });

  const hints: { name: string; with: string; from: string; to: string; want: RegExp }[] = [
    { name: "a wrong port", with: "", from: "outside/legacy", to: "api.shop:99", want: /^Service shop\/api has port 8080 \(http\); call that instead of 99$/ },
    { name: "no pod for a selector", with: "", from: "web", to: "nobody", want: /no pod of namespace shop has the labels app=nobody/ },
    {
      name: "a subset that is not there",
      with: onGet("route: [{ destination: { host: api, subset: v9 } }]"),
      from: "web",
      to: "api",
      want: /add subset "v9" to DestinationRule shop\/api .*\(it has v1, v2\)/,
    },
    {
      name: "STRICT",
      with: strict,
      from: "outside/legacy",
      to: "api.shop",
      want: /istio-injection=enabled.*PeerAuthentication istio-system\/default to PERMISSIVE/,
    },
  ];
  for (const each of hints) {
    it(`helps with ${each.name}`, async () => {
      const { hint } = await answer(`${mesh}\n${each.with}`, each.from, each.to);
      assert.match(hint ?? "", each.want);
    });
  }

  it("gives the very rule that a NetworkPolicy lacks", async () => {
    for (const [from, to] of [
      ["web", "api"],
      ["outside/legacy", "api.shop"],
    ] as const) {
      const { hint = "" } = await answer(mesh + cutApi, from, to);
      const [, rule = ""] = /^add (.*) to spec\.ingress of NetworkPolicy shop\/cut$/.exec(hint) ?? [];
      const { verdict } = await answer(mesh + cutApi.replace("ingress: [", `ingress: [${rule}, `), from, to);
      assert.equal(verdict, "allowed", hint);
    }
    const { hint = "" } = await answer(mesh + noDns, "web", "api");
    const [, names = ""] = /^add (.*) to spec\.egress of NetworkPolicy shop\/mute, /.exec(hint) ?? [];
    const second = await answer(mesh + noDns.replace("policyTypes", `egress: [${names}], policyTypes`), "web", "api");
    const [, rule = ""] = /^add (.*) to spec\.egress of NetworkPolicy shop\/mute$/.exec(second.hint ?? "") ?? [];
    const { verdict } = await answer(mesh + noDns.replace("policyTypes", `egress: [${names}, ${rule}], policyTypes`), "web", "api", { path: "/" });
    assert.notEqual(verdict, "denied", second.hint);
  });

  it("says who has a proxy take traffic over, or that none does", async () => {
    const hopOf = async (from: string, to: string) => (await answer(mesh, from, to)).hops.find(({ hop }) => hop === "interception");
    assert.deepEqual((await hopOf("web", "api"))?.by, { kind: "Namespace", name: "shop", field: 'metadata.labels["istio-injection"]' });
    assert.match(
      (await hopOf("outside/legacy", "api.shop"))?.text ?? "",
      /^none, the pod has no proxy: Namespace outside has no label istio-injection=enabled/,
    );
    assert.equal((await hopOf("web", "names:53/udp"))?.text, "none: proxies leave UDP alone");
  });

  it("takes what weft up prints", async () => {
    const { verdict, hops } = await answer(mesh + edge, "outside", "http://127.0.0.1:18080/public");
    assert.equal(verdict, "allowed");
    assert.match(hops[0]?.text ?? "", /127\.0\.0\.1:18080 -> 192\.168\.99\.\d+:80/);
  });

  it("leaves out what says nothing of traffic, and says so", async () => {
    const { status, warned } = await ask(
      `${mesh}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: { name: once }\n---\napiVersion: weft.dev/v1alpha1\nkind: ClusterConfig`,
      "web",
      "api",
    );
    assert.equal(status, 0);
    assert.match(warned, /mesh.yaml:\d+: kind Job of batch\/v1 is not known/);
    assert.doesNotMatch(warned, /ClusterConfig/);
  });

  const mistakes: { name: string; from: string; to: string; options?: Partial<WhyOptions>; want: RegExp }[] = [
    { name: "a pod's name", from: "wbe", to: "api", want: /FROM "wbe" names no pod.*did you mean web-/ },
    { name: "a Service's name", from: "web", to: "apo", want: /TO "apo" is neither.*did you mean api/ },
    { name: "a Service of another namespace", from: "outside/legacy", to: "api", want: /did you mean api.shop/ },
    { name: "a port's name", from: "web", to: "api:htp", want: /Service shop\/api has no port named "htp"; it has 8080 \(http\)/ },
    { name: "no port where there are two", from: "web", to: "names", want: /has ports 53\/udp \(dns\), 80 \(http\); say which: names:PORT/ },
    { name: "a port that cannot be", from: "web", to: "api:70000", want: /port 70000 is not between 1 and 65535/ },
    { name: "a path", from: "web", to: "api", options: { path: "public" }, want: /--path "public": a path begins with "\/"/ },
    { name: "a header", from: "web", to: "api", options: { header: ["x"] }, want: /--header "x": write NAME=VALUE/ },
    { name: "a format", from: "web", to: "api", options: { output: "yaml" }, want: /-o yaml: json is the only other format/ },
  ];
  for (const each of mistakes) {
    it(`corrects ${each.name}`, async () => {
      await assert.rejects(
        ask(mesh, each.from, each.to, each.options),
        (error) => error instanceof CliError && error.status === 2 && each.want.test(error.message),
      );
    });
  }

  it("names what it does not find", async () => {
    await assert.rejects(
      ask(mesh, "somebody", "api"),
      (error) => error instanceof CliError && /FROM "somebody" names no pod .* there are: .*web-/.test(error.message),
    );
    await assert.rejects(ask(mesh, "web", "somebody"), /TO "somebody" is neither a Service nor a pod/);
    await assert.rejects(ask(`${mesh}\n---\nkind: [`, "web", "api"), /mesh.yaml:\d+: /);
  });
});
