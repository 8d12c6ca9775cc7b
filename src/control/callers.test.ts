import assert from "node:assert/strict";
import { it } from "node:test";
import { issueKeyPair, newMeshRoot } from "#ca/root.ts";
import { realClock } from "#host/real/clock.ts";
import { realRandom } from "#host/real/random.ts";
import { X509Certificate } from "node:crypto";
import type { Pod } from "#model/core.ts";
import { callerOf, nodeOfCertificate } from "./callers.ts";
import { LiveWorld } from "./live-world.ts";

const host = { clock: realClock(), random: realRandom() };
const root = await newMeshRoot(host);
const certificate = async (commonName: string): Promise<Uint8Array> =>
  new X509Certificate((await issueKeyPair(host, root, { commonName, organizations: ["system:nodes"], usages: ["client"], lifetimeMs: 60_000 })).certificate)
    .raw;

const world = new LiveWorld();
const pod: Pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "a", namespace: "default", uid: "uid-a" }, spec: { nodeName: "node-1", containers: [] } };
world.set("Pod", pod);
world.set("Pod", { ...pod, metadata: { ...pod.metadata, name: "done", uid: "uid-done" }, status: { phase: "Succeeded" } } as Pod);

const node1 = await certificate("system:node:node-1");
const CASES: { name: string; certificate: Uint8Array | undefined; pod?: string; want: RegExp | undefined }[] = [
  { name: "an agent for a pod of its node", certificate: node1, pod: "default/a/uid-a", want: undefined },
  {
    name: "the agent of another node",
    certificate: await certificate("system:node:node-2"),
    pod: "default/a/uid-a",
    want: /Pod default\/a is not bound to node node-2/,
  },
  { name: "an agent for a pod of the same name that is gone", certificate: node1, pod: "default/a/uid-b", want: /no Pod default\/a with uid uid-b/ },
  { name: "an agent for a pod that has ended", certificate: node1, pod: "default/done/uid-done", want: /has ended/ },
  { name: "an agent that names no pod", certificate: node1, want: /must be "namespace\/name\/uid"/ },
  { name: "an administrator", certificate: await certificate("kubernetes-admin"), pod: "default/a/uid-a", want: /not for a node/ },
  { name: "somebody whose name contains a node's", certificate: await certificate("x, CN=system:node:node-1"), pod: "default/a/uid-a", want: /not for a node/ },
  { name: "nobody", certificate: undefined, pod: "default/a/uid-a", want: /no client certificate/ },
];
for (const { name, certificate: shown, pod: claimed, want } of CASES) {
  it(`${name} is ${want === undefined ? "known" : "refused"}`, () => {
    const call = { metadata: claimed === undefined ? {} : { "weft-pod": claimed }, peer: { address: "x", certificate: shown } };
    const caller = callerOf(world, call, nodeOfCertificate(call));
    if (want === undefined) assert.deepEqual(caller, { pod });
    else assert.match("refused" in caller ? caller.refused : "", want);
  });
}
