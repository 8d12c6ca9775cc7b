/** The control plane on a real API server: what it writes, and that it goes on without its leader. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KINDS, type KindId } from "#model/kinds.ts";
import { kindsWithStatus } from "#compile/status/kinds-with-status.ts";
import { eventually } from "./on-kubernetes.ts";
import type { Running } from "./shared-tests.ts";

const resourceOf = (id: KindId): string => (KINDS[id].group === "" ? KINDS[id].plural : `${KINDS[id].plural}.${KINDS[id].group}`);
/** Whatever the control plane could write, but for its Lease. */
const WRITTEN = [...kindsWithStatus.map(resourceOf), "services", "configmaps", "secrets", "mutatingwebhookconfigurations"].join(",");
const REST_MS = 20_000;

const route = (name: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: default }
spec: { hosts: [${name}], http: [{ route: [{ destination: { host: nobody } }] }] }
`;

/** A route of which another controller speaks as well. */
const SHARED = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: at-rest, namespace: default }
spec: { parentRefs: [{ name: nobodys-gateway }], rules: [{ backendRefs: [{ name: nobody, port: 80 }] }] }
`;

export function nothingIsWrittenAtRest(cluster: Running): void {
  test("what the control plane has said once it does not say again: at rest it writes nothing", async () => {
    await cluster().apply(`${route("at-rest")}---${SHARED}`);
    await said(cluster, "at-rest");
    const revisions = (): Promise<string> =>
      cluster().get(
        "get",
        WRITTEN,
        "-A",
        "-o",
        'jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}',
      );
    const before = await revisions();
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    assert.equal(await revisions(), before);
    await cluster().get("-n", "default", "delete", "virtualservice/at-rest", "httproute/at-rest");
  });
}

export function leaderMayDie(cluster: Running): void {
  test("when the leader is gone without a word another replica writes", async () => {
    const holder = (): Promise<string> => cluster().get("-n", "weft-system", "get", "lease", "weft-control", "-o", "jsonpath={.spec.holderIdentity}");
    const first = await holder();
    const [pod = ""] = first.split("_");
    assert.notEqual(pod, "");
    await cluster().get("-n", "weft-system", "delete", "pod", pod, "--grace-period=0", "--force");
    await cluster().apply(route("after-the-leader"));
    await said(cluster, "after-the-leader");
    assert.notEqual(await holder(), first);
    // The one in its place finds the node's ports still taken by who lays its work down.
    await cluster().get("-n", "weft-system", "rollout", "status", "deployment/weft-control", "--timeout=120s");
    const restarts = ["-n", "weft-system", "get", "pods", "-l", "app=weft-control", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}"];
    assert.match(await cluster().get(...restarts), /^0( 0)*$/, "no replica had to start twice");
    await cluster().get("-n", "default", "delete", "virtualservice/after-the-leader");
  });
}

async function said(cluster: Running, name: string): Promise<void> {
  const conditions = (): Promise<string> => cluster().get("-n", "default", "get", "virtualservice", name, "-o", "jsonpath={.status.conditions[*].type}");
  assert.match(await eventually(conditions, (types) => types.includes("Accepted")), /Accepted/);
}
