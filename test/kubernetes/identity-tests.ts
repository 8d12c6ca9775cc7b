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

    const refusalOf = async (pod: Pick<Pod, "metadata" | "spec">): Promise<string> => {
      const { code, stderr } = await cluster().run(["kubectl", "create", "-f", "-"], { input: JSON.stringify({ apiVersion: "v1", kind: "Pod", ...pod }) });
      assert.notEqual(code, 0);
      return stderr;
    };

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

    test("nobody brings a proxy of his own, and nobody debugs his way into one", async () => {
      const labels = { "sidecar.istio.io/inject": "false" };
      const own = { containers: [{ name: "istio-proxy", image: "weft/shell:1", securityContext: { runAsUser: 1337 } }] };
      assert.match(await refusalOf({ metadata: { name: "impostor", namespace: "default", labels }, spec: own }), /spec\.containers\[0\]\.name/);
      const seeing = { shareProcessNamespace: true, containers: [{ name: "app", image: "weft/shell:1" }] };
      assert.match(await refusalOf({ metadata: { name: "seeing", namespace: "default" }, spec: seeing }), /spec\.shareProcessNamespace/);
      // What the pod says of itself by now does not matter.
      await cluster().get("-n", "default", "label", "--overwrite", "pod", "attacker", "sidecar.istio.io/inject=false");
      for (const container of [{ targetContainerName: "istio-proxy" }, { securityContext: { runAsUser: 1337 } }]) {
        const patch = JSON.stringify({ spec: { ephemeralContainers: [{ name: "late", image: "weft/shell:1", ...container }] } });
        const patched = ["-n", "default", "patch", "pod", "attacker", "--subresource=ephemeralcontainers", "-p", patch] as const;
        const { code, stderr } = await cluster().kubectl(...patched);
        assert.notEqual(code, 0);
        assert.match(stderr, /spec\.ephemeralContainers\[0\]\./);
      }
    });

    test("a proxy's image stays what injection made it, and whatever else may change does", async () => {
      const set = (container: string): Promise<{ code: number; stderr: string }> =>
        cluster().kubectl("-n", "default", "set", "image", "pod/attacker", `${container}=weft/bookinfo-details:1`);
      const { code, stderr } = await set("istio-proxy");
      assert.notEqual(code, 0);
      assert.match(stderr, /the image of container istio-proxy stays/);
      assert.equal((await cluster().kubectl("-n", "default", "annotate", "pod", "attacker", "a=b")).code, 0);
    });

    test("who sees a proxy's process does not see its memory", async () => {
      const onlookers = (await cluster().get("-n", "default", "get", "pods", "-l", "app=onlooker", "-o", "name")).trim().split("\n");
      for (const onlooker of onlookers) {
        const pod = onlooker.replace("pod/", "");
        const said = await ask({ pod, container: "app" }, { process: "/opt/weft/sidecar.mjs", uid: 1337 });
        assert.match(said, /^(?:refused: [0-9]+ processes|there is no such process)$/);
      }
      const node = await cluster().get("-n", "default", "get", "pod", "victim", "-o", "jsonpath={.spec.nodeName}");
      const beside = await cluster().get(
        "-n",
        "default",
        "get",
        "pods",
        "-l",
        "app=onlooker",
        "--field-selector",
        `spec.nodeName=${node.trim()}`,
        "-o",
        "name",
      );
      const said = await ask({ pod: beside.trim().replace("pod/", ""), container: "app" }, { process: "/opt/weft/sidecar.mjs", uid: 1337 });
      assert.match(said, /^refused: [1-9][0-9]* processes$/);
    });

    test("where there is no proxy, in a pod or in the node's network, there is no socket", async () => {
      for (const pod of ["bare", "on-the-node"])
        assert.equal(await ask({ pod, container: "app" }, { socket: SOCKET, as: VICTIM }), "refused: ECONNREFUSED", pod);
    });

    test("a pod to be injected that asks for the proxy's uid is refused, by the field's name", async () => {
      const spec = { containers: [{ name: "app", image: "weft/shell:1", securityContext: { runAsUser: 1337 } }] };
      assert.match(await refusalOf({ metadata: { name: "same-uid", namespace: "default" }, spec }), /spec\.containers\[0\]\.securityContext\.runAsUser/);
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
