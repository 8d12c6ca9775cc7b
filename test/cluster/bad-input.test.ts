/**
 * Whatever is wrong with what people and peers send is answered in words that name it, on the status where there is one, and
 * nothing else stops working: after each case requests go through the mesh as before.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { issueKeyPair, newMeshRoot } from "#ca/root.ts";
import type { KeyPair } from "#ca/ca.ts";
import { stateFolder } from "#cli/state.ts";
import type { Pod } from "#model/core.ts";
import { KINDS } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { get, reviewsVersion, tally } from "#tools/demo/requests.ts";
import { refused, reported } from "./bad-input/manifests.ts";
import { malformed, sendMalformed, type RawAnswer } from "./bad-input/raw-requests.ts";
import { conditionsOf, eventually, startMeshCluster, type MeshCluster } from "./mesh-cluster.ts";
import { namespacesBelow, processesIn } from "./traces.ts";

const REVIEWS = "/api/v1/products/0/reviews";
const DETAILS = "/api/v1/products/0";
const SECURITY = "/apis/security.istio.io/v1/namespaces/default";

let cluster: MeshCluster;
let folder: string;
let pods: readonly Pod[];

function podOf(app: string): { readonly name: string; readonly ip: string } {
  const pod = pods.find(({ metadata }) => metadata.labels?.["app"] === app) ?? assert.fail(`no pod of ${app}`);
  return { name: `${pod.metadata.namespace ?? ""}/${pod.metadata.name}`, ip: pod.status?.podIP ?? "" };
}

/** A file in a folder that the cluster's user can read. */
function fileOf(yaml: string): string {
  const path = join(folder, "manifest.yaml");
  writeFileSync(path, yaml);
  return path;
}

async function answers(path: string): Promise<number> {
  return get(cluster.gateway + path).then(
    ({ status }) => status,
    () => 0,
  );
}

/** The mesh does for requests what examples/bookinfo asks. */
async function trafficGoesOn(): Promise<void> {
  const counts = await eventually(
    () => tally(40, () => get(cluster.gateway + REVIEWS).then(reviewsVersion)),
    (seen) => [...seen.keys()].every((version) => version === "v1" || version === "v3"),
  );
  for (const version of counts.keys()) assert.match(version, /^v[13]$/, `reviews answered ${[...counts].join(" ")}`);
  assert.equal(
    await eventually(
      () => answers(DETAILS),
      (status) => status === 200,
    ),
    200,
  );
  const now = await cluster.api.list<Pod>("/api/v1/pods");
  const restarts = now.flatMap(({ status }) => status?.containerStatuses ?? []).filter(({ restartCount }) => (restartCount ?? 0) > 0);
  assert.deepEqual(restarts, [], "no container had to be started again");
}

describe("bad input", { timeout: 400_000 }, () => {
  before(async () => {
    cluster = await startMeshCluster(`bad${process.pid}`, "examples/bookinfo/cluster.yaml");
    folder = mkdtempSync(join(cluster.user.home, "bad-input-"));
    await cluster.apply("examples/bookinfo");
    await eventually(
      () => answers("/productpage"),
      (status) => status === 200,
    );
    await trafficGoesOn();
    pods = await cluster.api.list<Pod>("/api/v1/pods");
  });
  after(async () => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    await cluster?.stop();
  });
  afterEach(trafficGoesOn);

  test("broken YAML is refused with file and line", async () => {
    const path = fileOf("a: b: c\n  - x\n");
    const { code, stderr } = await cluster.weft("up", "-f", path);
    assert.equal(code, 1);
    assert.match(stderr, /manifest\.yaml:\d+: .*(mapping|YAML)/i);
  });

  test("an unknown kind is refused by name", async () => {
    const yaml = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: { name: jwt }\nspec: { jwtRules: [{ issuer: a }] }\n";
    const { code, stderr } = await cluster.weft("up", "-f", fileOf(yaml));
    assert.equal(code, 1);
    assert.match(stderr, /no matches for kind "RequestAuthentication" in version "security\.istio\.io\/v1"/);
  });

  for (const { what, yaml, says } of refused) {
    test(`${what} is refused, naming the field`, async () => {
      const file = fileOf(yaml);
      try {
        await assert.rejects(cluster.apply(file), says);
      } finally {
        await cluster.remove(file);
      }
    });
  }

  for (const { what, yaml, path, condition, reason, says } of reported) {
    test(`${what} is told on its status`, async () => {
      const file = fileOf(yaml);
      try {
        await cluster.apply(file);
        const found = (await conditionsOf(cluster, path)).get(condition);
        assert.equal(`${found?.status} ${found?.reason}`, `False ${reason}`, found?.message);
        assert.match(found?.message ?? "", says);
        await trafficGoesOn();
      } finally {
        await cluster.remove(file);
      }
    });
  }

  test("weights that do not sum to 100 are shares of their sum", async () => {
    const yaml = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings }
spec: { hosts: [ratings], http: [{ route: [{ destination: { host: ratings }, weight: 60 }, { destination: { host: ratings }, weight: 70 }] }] }
`;
    assert.deepEqual(await cluster.apply(fileOf(yaml)), []);
    for (const { status, message } of (await conditionsOf(cluster, "/apis/networking.istio.io/v1/namespaces/default/virtualservices/ratings")).values())
      assert.equal(status, "True", message);
    await trafficGoesOn();
    await cluster.remove(fileOf(yaml));
  });

  describe("policies with parts that cannot be enforced deny more, never less", () => {
    const policy = (name: string, spec: string): string =>
      `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
    const rule = "{ requestPrincipals: ['*'] }";
    const cases: readonly { readonly what: string; readonly spec: string; readonly details: number; readonly condition: string; readonly says: RegExp }[] = [
      {
        what: "an ALLOW rule that asks for a JWT allows nothing",
        spec: `{ selector: { matchLabels: { app: details } }, rules: [{ from: [{ source: ${rule} }] }] }`,
        details: 403,
        condition: "FullySupported",
        says: /spec\.rules\[0\]\.from\[0\]\.source\.requestPrincipals cannot be enforced \(not supported yet\), so its rule allows nothing/,
      },
      {
        what: "a DENY rule for a claim of a JWT denies whatever its claim",
        spec: "{ selector: { matchLabels: { app: details } }, action: DENY, rules: [{ when: [{ key: 'request.auth.claims[iss]', values: [x] }] }] }",
        details: 403,
        condition: "FullySupported",
        says: /spec\.rules\[0\]\.when\[0\]\.values cannot be enforced \(not supported yet\), so it is left out, and the rule denies more/,
      },
      {
        what: "a DENY rule's other parts still hold",
        spec: "{ selector: { matchLabels: { app: details } }, action: DENY, rules: [{ to: [{ operation: { methods: [DELETE] } }], when: [{ key: 'request.auth.claims[iss]', values: [x] }] }] }",
        details: 200,
        condition: "FullySupported",
        says: /spec\.rules\[0\]\.when\[0\]\.values/,
      },
      {
        what: "a CUSTOM policy denies what its authorizer would have been asked about",
        spec: "{ selector: { matchLabels: { app: details } }, action: CUSTOM, provider: { name: opa }, rules: [{ to: [{ operation: { paths: ['/details/*'] } }] }] }",
        details: 403,
        condition: "FullySupported",
        says: /spec\.action: CUSTOM is not supported yet, so what its rules match is denied/,
      },
      {
        what: "an empty source allows nobody",
        spec: "{ selector: { matchLabels: { app: details } }, rules: [{ from: [{ source: {} }] }] }",
        details: 403,
        condition: "Accepted",
        says: /spec\.rules\[0\]\.from\[0\]\.source is empty, so its rule allows nothing/,
      },
    ];
    for (const { what, spec, details, condition, says } of cases) {
      test(what, async () => {
        const file = fileOf(policy("details-odd", spec));
        assert.match((await cluster.apply(file)).join("\n"), says, "whoever applies it is warned");
        const found = (await conditionsOf(cluster, `${SECURITY}/authorizationpolicies/details-odd`)).get(condition);
        assert.equal(found?.status, "False");
        assert.match(found?.message ?? "", says);
        assert.equal(
          await eventually(
            () => answers(DETAILS),
            (status) => status === details,
          ),
          details,
        );
        await cluster.remove(file);
        assert.equal(
          await eventually(
            () => answers(DETAILS),
            (status) => status === 200,
          ),
          200,
        );
      });
    }
  });

  describe("callers with wrong certificates", () => {
    const productpage = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage";
    const cases: readonly { readonly what: string; readonly make: (root: KeyPair) => Promise<KeyPair>; readonly says: RegExp | undefined }[] = [
      { what: "a certificate of the mesh is let in", make: (root) => issueKeyPair(present(), root, leaf(productpage)), says: undefined },
      { what: "an expired certificate is refused", make: (root) => issueKeyPair(yesterday(), root, leaf(productpage)), says: /certificate has expired/ },
      {
        what: "an SVID of another trust domain is refused",
        make: (root) => issueKeyPair(present(), root, leaf(productpage.replace("cluster.local", "other.example"))),
        says: /the peer is spiffe:\/\/other\.example\/ns\/default\/sa\/bookinfo-productpage, which .* does not allow/,
      },
      {
        what: "an SVID that another CA signed is refused",
        make: async () => issueKeyPair(present(), await newMeshRoot(present()), leaf(productpage)),
        says: /certificate .*does not verify/,
      },
    ];
    const leaf = (uri: string) => ({ uris: [uri], usages: ["client", "server"] as const, lifetimeMs: 3_600_000 });
    const present = () => cluster.context.host;
    const yesterday = () => ({ ...cluster.context.host, clock: { ...cluster.context.host.clock, now: () => Date.now() - 86_400_000 } });

    for (const { what, make, says } of cases) {
      test(`${what}, and the log of the one who was called says why`, async () => {
        const pki = join(stateFolder(cluster.context.terminal, cluster.name), "pki");
        const root = { certificate: readFileSync(`${pki}/mesh-ca.crt`, "utf8"), privateKey: readFileSync(`${pki}/mesh-ca.key`, "utf8") };
        const { certificate, privateKey } = await make(root);
        const path = join(folder, "caller");
        mkdirSync(path, { recursive: true });
        writeFileSync(`${path}/cert.pem`, certificate);
        writeFileSync(`${path}/key.pem`, privateKey);
        const details = podOf("details");
        const request = `printf 'GET /health HTTP/1.1\\r\\nHost: details\\r\\nConnection: close\\r\\n\\r\\n'; sleep 1`;
        const client = `openssl s_client -quiet -alpn istio -connect ${details.ip}:9080 -cert ${path}/cert.pem -key ${path}/key.pem`;
        const { stdout } = await cluster.enter(podOf("visitor").name, "sh", "-c", `(${request}) | ${client}`);
        if (says === undefined) {
          assert.match(stdout, /^HTTP\/1\.1 200 /);
          return;
        }
        assert.equal(stdout, "", "not one byte of an answer");
        const [namespace, name] = details.name.split("/");
        const log = await eventually(
          async () => String((await cluster.api.request("GET", `/api/v1/namespaces/${namespace}/pods/${name}/log?container=istio-proxy`)).body),
          (text) => says.test(text),
        );
        assert.ok(says.test(log), log.split("\n").slice(-6).join("\n"));
      });
    }
  });

  describe("malformed requests", () => {
    const program = join(import.meta.dirname, "bad-input/raw-requests.ts");

    async function from(place: string, how: string, host: string, port: number): Promise<readonly RawAnswer[]> {
      const { stdout, stderr } = await cluster.enter(place, process.execPath, program, how, host, String(port));
      assert.equal(stderr, "");
      return JSON.parse(stdout) as readonly RawAnswer[];
    }

    function refusedInHttp(found: readonly RawAnswer[]): void {
      for (const [i, what] of Object.keys(malformed).entries()) {
        const { answer, ended } = found[i] ?? assert.fail(what);
        assert.match(answer, /^HTTP\/1\.1 [45]\d\d /, `${what}: ${ended}`);
        assert.notEqual(ended, "nothing happened", what);
      }
    }

    test("at the gateway", async () => {
      const port = Number(new URL(cluster.gateway).port);
      refusedInHttp(await sendMalformed("plain", "127.0.0.1", port));
    });

    test("at 15006, on their way into a pod", async () => refusedInHttp(await from(podOf("visitor").name, "plain", podOf("details").ip, 9080)));

    test("at 15001, on their way out of one", async () => {
      const { spec } = await cluster.get<{ spec: { clusterIP: string } }>("/api/v1/namespaces/default/services/details");
      refusedInHttp(await from(podOf("productpage").name, "plain", spec.clusterIP, 9080));
    });

    test("at a proxy's own ports, from inside and from its neighbours", async () => {
      refusedInHttp(await from(podOf("details").name, "plain", "127.0.0.1", 15000));
      for (const port of [15021, 15090]) refusedInHttp(await from(podOf("visitor").name, "plain", podOf("details").ip, port));
      for (const port of [15001, 15006]) {
        for (const { answer, ended } of await from(podOf("visitor").name, "plain", podOf("details").ip, port)) {
          assert.equal(answer, "");
          assert.match(ended, /^(closed|ECONNREFUSED|ECONNRESET)$/, `nobody calls ${port} itself`);
        }
      }
    });

    test("at the API server, inside TLS and without it", async () => {
      const port = Number(new URL(apiUrl()).port);
      refusedInHttp(await sendMalformed("tls", "127.0.0.1", port));
      for (const { ended } of await sendMalformed("plain", "127.0.0.1", port)) assert.notEqual(ended, "nothing happened");
      assert.equal((await cluster.api.request("GET", "/readyz")).status, 200);
    });

    test("at the ports of nodes and of the control plane", async () => {
      for (const [host, port] of [
        ["192.168.99.11", 10250],
        ["192.168.99.11", 10252],
        ["192.168.99.1", 15012],
      ] as const) {
        for (const { ended } of await from("outside", "tls", host, port)) assert.notEqual(ended, "nothing happened", `${host}:${port}`);
        for (const { ended } of await from("outside", "plain", host, port)) assert.notEqual(ended, "nothing happened", `${host}:${port}`);
      }
    });
  });

  describe("after all of it", () => {
    /** Versions of all objects but those by which nodes show that they live. */
    async function versions(): Promise<ReadonlyMap<string, string>> {
      const found = new Map<string, string>();
      for (const { id, group, versions: served, plural } of Object.values(KINDS)) {
        if (["Node", "Lease", "Event"].includes(id)) continue;
        const objects = await cluster.api.list<KubeObject>(`${group === "" ? "/api" : `/apis/${group}`}/${served[0] ?? ""}/${plural}`);
        for (const object of objects) found.set(`${id} ${objectKey(object)}`, object.metadata.resourceVersion ?? "");
      }
      return found;
    }

    const changed = (before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): readonly string[] =>
      [...new Set([...before.keys(), ...now.keys()])].filter((key) => before.get(key) !== now.get(key));

    /** Until nothing moves any more. */
    async function atRest(): Promise<ReadonlyMap<string, string>> {
      let before = await versions();
      await eventually(
        async () => {
          await sleep(2000);
          const now = await versions();
          const moved = changed(before, now);
          before = now;
          return moved;
        },
        (moved) => moved.length === 0,
      );
      return before;
    }

    /** Programs of this cluster; answers how many there were. */
    function kill(program: string): number {
      const isProgram = new RegExp(`/${program}\\.(ts|mjs)\\0`);
      const found = processesIn(namespacesBelow(cluster.supervisorPid)).filter((pid) => isProgram.test(readFileSync(`/proc/${pid}/cmdline`, "utf8")));
      for (const pid of found) process.kill(Number(pid), "SIGKILL");
      return found.length;
    }

    /** Of the certificate that the proxy of details shows. */
    async function serial(): Promise<string> {
      const show = `openssl s_client -alpn istio -connect ${podOf("details").ip}:9080 </dev/null 2>/dev/null | openssl x509 -noout -serial`;
      return (await cluster.enter(podOf("visitor").name, "sh", "-c", show)).stdout.trim();
    }

    test("nothing is written while nothing happens: no status is written again and again", async () => {
      const before = await atRest();
      await sleep(5000);
      assert.deepEqual(changed(before, await versions()), []);
    });

    test("a control plane that is killed comes back, writes nothing anew, and requests do not notice", async () => {
      const before = await atRest();
      const control = processesIn(namespacesBelow(cluster.supervisorPid)).find((pid) =>
        /control\.(ts|mjs)\0/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8")),
      );
      process.kill(Number(control), "SIGKILL");
      const counts = await tally(300, () => get(cluster.gateway + REVIEWS).then(reviewsVersion));
      for (const version of counts.keys()) assert.match(version, /^v[13]$/, `reviews answered ${[...counts].join(" ")}`);
      const [late] = reported;
      assert.ok(late);
      const file = fileOf(late.yaml);
      await eventually(
        () =>
          cluster.apply(file).then(
            () => true,
            () => false,
          ),
        (done) => done,
      );
      // It reads the World and says what is wrong with it, as ever.
      assert.match((await conditionsOf(cluster, late.path)).get(late.condition)?.message ?? "", late.says);
      await cluster.remove(file);
      assert.deepEqual(changed(before, await atRest()), []);
    });

    test("agents that are killed come back and renew all certificates, and requests do not notice", async () => {
      const before = await serial();
      assert.match(before, /^serial=[0-9A-F]+$/);
      let renewed = before;
      let isDone = false;
      const requests = (async () => {
        const seen = new Map<string, number>();
        while (!isDone)
          for (const [version, count] of await tally(20, () => get(cluster.gateway + REVIEWS).then(reviewsVersion)))
            seen.set(version, (seen.get(version) ?? 0) + count);
        return seen;
      })();
      try {
        assert.equal(kill("agent"), 2);
        renewed = await eventually(serial, (now) => now !== before && now !== "");
      } finally {
        isDone = true;
      }
      assert.notEqual(renewed, before);
      const counts = await requests;
      for (const version of counts.keys()) assert.match(version, /^v[13]$/, `reviews answered ${[...counts].join(" ")}`);
    });
  });
});

function apiUrl(): string {
  const kubeconfig = readFileSync(join(stateFolder(cluster.context.terminal, cluster.name), "kubeconfig"), "utf8");
  return /server: (\S+)/.exec(kubeconfig)?.[1] ?? assert.fail("the kubeconfig names the server");
}
