/**
 * Nobody gets another's certificate: not from a pod, whatever uid its processes take and whatever they call themselves, and not
 * from a node for a pod of another node. Each way in is also gone by somebody who may, and leads to a certificate there.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { newKeyAndRequest } from "#agent/ads/certificate-request.ts";
import type { Pod } from "#model/core.ts";
import { provideImages } from "#tools/kubernetes/demo-world.ts";
import type { Running } from "./shared-tests.ts";

const folder = join(import.meta.dirname, "identity");
const PODS = readFileSync(join(folder, "pods.yaml"), "utf8");
const ASK = readFileSync(join(folder, "ask.cjs"), "utf8");
const SOCKET = "@weft/xds";
const VICTIM = "spiffe://cluster.local/ns/default/sa/victim";
const ATTACKER = "spiffe://cluster.local/ns/default/sa/attacker";
/** Of Weft's image. */
const OWN_NODE = "/opt/weft/bin/node";

interface Where {
  readonly namespace?: string;
  readonly pod: string;
  readonly container: string;
  readonly node?: string;
}

export function identityHolds(cluster: Running): void {
  describe("identities", () => {
    before(async () => {
      await provideImages(cluster(), [PODS]);
      await cluster().get("label", "--overwrite", "namespace", "default", "istio-injection=enabled");
      await cluster().apply(PODS);
      await cluster().get("-n", "default", "wait", "--for=condition=Ready", "pod", "-l", "test=identity", "--timeout=120s");
    });
    after(() => cluster().run(["kubectl", "delete", "--wait=false", "-f", "-"], { input: PODS }));

    const ask = async ({ namespace = "default", pod, container, node = "node" }: Where, question: object): Promise<string> =>
      (await cluster().get("-n", namespace, "exec", pod, "-c", container, "--", node, "-e", ASK, JSON.stringify(question))).trim();

    test("a proxy gets its own pod's certificate, whatever it says it is", async () => {
      const proxy = (pod: string): Where => ({ pod, container: "istio-proxy", node: OWN_NODE });
      assert.equal(await ask(proxy("victim"), { socket: SOCKET }), `certificate of URI:${VICTIM}`);
      assert.equal(await ask(proxy("attacker"), { socket: SOCKET }), `certificate of URI:${ATTACKER}`);
      assert.equal(await ask(proxy("attacker"), { socket: SOCKET, as: VICTIM }), `certificate of URI:${ATTACKER}`);
    });

    test("an application gets none, not even its own pod's, and not with the proxy's uid", async () => {
      assert.match(await ask({ pod: "victim", container: "app" }, { socket: SOCKET }), /^refused: /);
      for (const uid of [0, 1000, 1337])
        assert.match(await ask({ pod: "attacker", container: "app" }, { socket: SOCKET, uid, as: VICTIM }), /^refused: /, `uid ${uid}`);
    });

    test("a container that calls itself a proxy is its own pod's at most", async () => {
      assert.equal(await ask({ pod: "impostor", container: "istio-proxy" }, { socket: SOCKET, as: VICTIM }), `certificate of URI:${ATTACKER}`);
    });

    test("where there is no proxy, in a pod or in the node's network, there is no socket", async () => {
      for (const pod of ["bare", "on-the-node"])
        assert.equal(await ask({ pod, container: "app" }, { socket: SOCKET, as: VICTIM }), "refused: ECONNREFUSED", pod);
    });

    test("a pod to be injected that asks for the proxy's uid is refused, by the field's name", async () => {
      const spec = { containers: [{ name: "app", image: "weft/shell:1", securityContext: { runAsUser: 1337 } }] };
      const pod = JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { name: "same-uid", namespace: "default" }, spec });
      const { code, stderr } = await cluster().run(["kubectl", "create", "-f", "-"], { input: pod });
      assert.notEqual(code, 0);
      assert.match(stderr, /spec\.containers\[0\]\.securityContext\.runAsUser/);
    });

    test("the CA signs for a node what runs there and nothing else, and for no pod that asks itself", async () => {
      const pods = (JSON.parse(await cluster().get("get", "pods", "-A", "-o", "json")) as { items: readonly Pod[] }).items;
      const named = (name: string): Pod =>
        pods.find(({ metadata }) => metadata.namespace === "default" && metadata.name === name) ?? assert.fail(`no pod ${name}`);
      const victim = named("victim");
      const agentOn = (isThere: boolean): Pod =>
        pods.find(({ metadata, spec }) => metadata.labels?.["app"] === "weft-agent" && (spec.nodeName === victim.spec.nodeName) === isThere) ??
        assert.fail("no such agent");
      const ca = await cluster().get("-n", "weft-system", "get", "configmap", "weft-root", "-o", "jsonpath={.data.root-cert\\.pem}");
      const address = pods.find(({ metadata, status }) => metadata.labels?.["app"] === "weft-control" && status?.podIP !== undefined)?.status?.podIP;
      const question = {
        control: `${address}:15012`,
        ca,
        token: "/var/run/secrets/weft/token",
        pod: `default/victim/${victim.metadata.uid}`,
        csr: newKeyAndRequest(VICTIM).request,
      };
      const fromAgent = (isThere: boolean, more: object = {}): Promise<string> =>
        ask({ namespace: "weft-system", pod: agentOn(isThere).metadata.name, container: "agent", node: OWN_NODE }, { ...question, ...more });
      assert.equal(await fromAgent(true), `certificate of URI:${VICTIM}`);
      assert.match(await fromAgent(false), /^refused: gRPC status 7: Pod default\/victim is not bound to node /);
      assert.match(await fromAgent(true, { csr: newKeyAndRequest(ATTACKER).request }), /^refused: gRPC status 7: /);
      assert.match(await ask({ pod: "attacker", container: "app" }, { ...question, token: "/token/token" }), /^refused: gRPC status (7|16): /);
    });
  });
}
