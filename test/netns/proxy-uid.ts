/**
 * Run by network.test.ts inside namespaces of its own: on Kubernetes a proxy has no capability, so no mark. What its uid sends
 * passes the rules of its pod, what any other uid sends does not, with the kernel to judge.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { injectProxy } from "#compile/inject/inject.ts";
import type { Namespace, Pod } from "#model/core.ts";
import { call, host, makeLab, run, serve } from "./lab.ts";

const lab = await makeLab({ proxyKnownBy: "uid" });
const OWN = "10.244.0.9";
const OTHER = "10.244.1.6";
const namespace: Namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "default", labels: { "istio-injection": "enabled" } } };
const given: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "default" },
  spec: { nodeName: "node-1", containers: [{ name: "app" }] },
};
const { spec } = injectProxy(given, namespace, { kind: "kubernetes", image: "weft:test" }).pod;

const pod = await lab.addPod({ uid: "p", namespace: "default", name: "p", ip: OWN, node: "node-1", more: { spec } });
const peer = await lab.addPod({ uid: "q", namespace: "default", name: "q", ip: OTHER, node: "node-2" });
await serve(peer, OTHER, 8080, "peer");
for (const port of [15001, 15006, 15020, 15021, 15090]) await serve(pod, "0.0.0.0", port, `port-${port}`);
await serve(pod, "0.0.0.0", 8080, "app");
after(() => host.clock.after(500, () => process.exit()).unref());

/** Connects as another uid, from an address if one is given; what the server says first. */
async function asUid(uid: number, ip: string, port: number, source = "0.0.0.0"): Promise<string> {
  const script = `use Socket; socket(S, AF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, inet_aton("${source}"))); alarm 5; connect(S, sockaddr_in(${port}, inet_aton("${ip}"))) or die "refused"; print scalar <S>;`;
  return (await run(pod, "setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--bounding-set=-all", "perl", "-e", script)).trim();
}

test("what the application sends comes to its proxy, whatever its uid", async () => {
  for (const uid of [0, 1000, 1336, 1338]) assert.match(await asUid(uid, OTHER, 8080), /^port-15001 /, `uid ${uid}`);
});

test("what the proxy sends leaves the pod, without a capability", async () => {
  assert.equal(await asUid(1337, OTHER, 8080), `peer ${OWN}`);
});

test("the proxy hands traffic and probes over to the application, and meets itself when it calls its own service", async () => {
  assert.match(await asUid(1337, OWN, 8080, "127.0.0.6"), /^app /);
  assert.match(await asUid(1337, "127.0.0.1", 8080), /^app /);
  assert.match(await asUid(1337, OWN, 8080), /^port-15006 /);
  assert.match(await asUid(1000, OWN, 8080), /^app /);
});

test("whoever comes from outside meets the proxy, the node too; probes, readiness and metrics are open", async () => {
  assert.match(await call(peer, OWN, 8080), /^port-15006 /);
  assert.match(await call("/run/netns/node-1", OWN, 8080), /^port-15006 /);
  for (const port of [15020, 15021, 15090]) assert.match(await call("/run/netns/node-1", OWN, port), new RegExp(`^port-${port} `));
  for (const port of [15001, 15006]) assert.equal(await call(peer, OWN, port), "ECONNREFUSED");
});
