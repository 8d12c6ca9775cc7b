/** Run by network.test.ts inside namespaces of its own: a node's answers to its container runtime, with a real kernel under them. */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { churn } from "#agent/test-churn.ts";
import { startTestNode } from "#agent/test-node.ts";
import type { KindId } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { host, hostIn, run } from "./lab.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-node-"));
const node = `${folder}/node-1`;
await host.netns.create(node);
const there = host.netlink.open(node);
await there.addLink({ kind: "veth", name: "eth0", peer: { name: "underlay" } });
for (const name of ["eth0", "underlay"]) await there.setLink(name, { up: true });
await there.addAddress("eth0", "192.168.99.10/24");
const agentHost = hostIn(node);
after(() => host.clock.after(500, () => process.exit()).unref());

const RANGE = "10.244.0.0/24";
const nodeObject: KubeObject & { spec: { podCIDR: string }; status: object } = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "node-1" },
  spec: { podCIDR: RANGE },
  status: { addresses: [{ type: "InternalIP", address: "192.168.99.10" }] },
};
const pod = (name: string, app: string): KubeObject =>
  ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", uid: `uid-${name}`, labels: { app } },
    spec: { nodeName: "node-1", containers: [] },
  }) as KubeObject;
const closed: KubeObject = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "closed", namespace: "default" },
  spec: { podSelector: { matchLabels: { app: "closed" } }, policyTypes: ["Ingress", "Egress"] },
} as KubeObject;
const objects = new Map<string, { kind: KindId; object: KubeObject }>([
  ["namespace", { kind: "Namespace", object: { apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } } as KubeObject }],
  ["policy", { kind: "NetworkPolicy", object: closed }],
  ["open", { kind: "Pod", object: pod("open", "open") }],
  ["closed", { kind: "Pod", object: pod("closed", "closed") }],
]);
const start = () => startTestNode(agentHost, { folder: `${folder}/state`, node: nodeObject, objects });
await host.files.makeDirectory(`${folder}/state`);
let agent = await start();

async function add(name: string): Promise<string> {
  const { result, error } = await agent.ask({
    command: "ADD",
    containerId: `container-${name}`,
    netns: `${folder}/${name}`,
    args: { K8S_POD_NAMESPACE: "default", K8S_POD_NAME: name, K8S_POD_UID: `uid-${name}` },
  });
  assert.ok(result !== undefined && "ips" in result, JSON.stringify(error));
  return result.ips[0]?.address.split("/")[0] ?? "";
}

/** Sends to the address without a pause, whether there is a way or not; counts what comes to its own port. */
async function chatter(netns: string, to: () => string | undefined): Promise<{ heard: () => number; sent: () => number; close(): void }> {
  let heard = 0;
  let sent = 0;
  const socket = await host.net.bind({ address: { ip: "0.0.0.0", port: 7777 }, netns }, () => (heard += 1));
  const timer = host.clock.every(1, () => {
    const ip = to();
    if (ip === undefined) return;
    socket.send(Buffer.from("x"), { ip, port: 7777 });
    sent += 1;
  });
  return {
    heard: () => heard,
    sent: () => sent,
    close() {
      timer.cancel();
      socket.close();
    },
  };
}

for (const name of ["open", "closed"]) await host.netns.create(`${folder}/${name}`);
const openIp = await add("open");
/** The next address: what is sent there is for a pod that does not exist yet. */
const closedIp = openIp.replace(/\d+$/, (last) => String(Number(last) + 1));
const inOpen = await chatter(`${folder}/open`, () => closedIp);
const inClosed = await chatter(`${folder}/closed`, () => openIp);

test("a pod neither sends nor receives what its policies forbid, from the first moment of its network on", async () => {
  await host.clock.sleep(100);
  assert.equal(await add("closed"), closedIp);
  await host.clock.sleep(500);
  assert.ok(inOpen.sent() > 100 && inClosed.sent() > 100);
  assert.deepEqual([inOpen.heard(), inClosed.heard()], [0, 0]);
});

test("nor while the agent is gone, nor when the next one starts, nor when a sandbox is made anew", async () => {
  agent.kill();
  await host.clock.sleep(300);
  agent = await start();
  await host.clock.sleep(300);
  assert.deepEqual([inOpen.heard(), inClosed.heard()], [0, 0]);
  // Without the API nothing would say which policies there are: the records alone do not make a pod reachable.
  assert.deepEqual(await agent.ask({ command: "CHECK", containerId: "container-closed", netns: `${folder}/closed` }), {});
});

test("the two do reach each other when nothing forbids it: the silence before was the policy's", async () => {
  agent.set("NetworkPolicy", "default/closed", undefined);
  for (let i = 0; i < 100 && (inOpen.heard() === 0 || inClosed.heard() === 0); i += 1) await host.clock.sleep(50);
  assert.ok(inOpen.heard() > 0 && inClosed.heard() > 0);
  inOpen.close();
  inClosed.close();
});

test("CHECK sees what is not there any more", async () => {
  await run(`${folder}/open`, "ip", "link", "set", "eth0", "down");
  const { error } = await agent.ask({ command: "CHECK", containerId: "container-open", netns: `${folder}/open` });
  assert.equal(error?.details, "has no link eth0, or it is down");
  for (const name of ["open", "closed"])
    assert.deepEqual(await agent.ask({ command: "DEL", containerId: `container-${name}`, netns: `${folder}/${name}` }), {});
  agent.kill();
});

test("pods that come and go at random leave no address, link, route or rule", { timeout: 150_000 }, async () => {
  const pods = process.env["WEFT_TEST_LONG"] === "1" ? 1000 : 60;
  const report = await churn(agentHost, { folder: `${folder}/state`, namespaces: folder, pods, most: 12, podCIDR: "10.244.0.0/28" });
  assert.equal(report.made, pods);
  const left = await run(node, "sh", "-c", "ip -o link; ip route; nft list tables ip; nft list set ip weft-guard sources");
  assert.doesNotMatch(left, /weft[0-9a-f]{11}|elements|10\.244\.0\.\d+ dev/, left);
});
