/**
 * Pods made and killed at random on one node, by a runtime that is not always orderly, under an agent that is killed now
 * and then. What must hold at any moment: no address is given to two pods that live, and none is lost when they are gone.
 */
import assert from "node:assert/strict";
import type { Host } from "#host/host.ts";
import type { KindId } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { nodeWith, startTestNode } from "./test-node.ts";

export interface ChurnOptions {
  readonly folder: string;
  readonly namespaces: string;
  readonly pods: number;
  /** At once. */
  readonly most: number;
  readonly podCIDR: string;
}

interface Living {
  readonly name: string;
  readonly uid: string;
  readonly containerId: string;
  readonly netns: string;
  readonly ip: string;
}

export interface ChurnReport {
  readonly made: number;
  /** Ends by DEL, by a runtime that lost its word, by GC; agents that were killed. */
  readonly ends: Readonly<Record<"DEL" | "vanished" | "GC", number>>;
  readonly kills: number;
  readonly mostAtOnce: number;
}

export async function churn(host: Host, { folder, namespaces, pods, most, podCIDR }: ChurnOptions): Promise<ChurnReport> {
  const node = nodeWith({ podCIDR, address: "192.168.99.10" });
  const objects = new Map<string, { kind: KindId; object: KubeObject }>();
  const start = () => startTestNode(host, { folder, node, objects });
  let agent = await start();
  const living: Living[] = [];
  const ends = { DEL: 0, vanished: 0, GC: 0 };
  let kills = 0;
  let mostAtOnce = 0;
  const draw = (below: number): number => Math.floor(host.random.next() * below);

  const make = async (index: number): Promise<void> => {
    const name = `pod-${index}`;
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default", uid: `uid-${index}` }, spec: { nodeName: "node-1", containers: [] } };
    objects.set(name, { kind: "Pod", object: pod });
    agent.set("Pod", `default/${name}`, pod);
    const netns = `${namespaces}/${name}`;
    await host.netns.create(netns);
    const args = { K8S_POD_NAMESPACE: "default", K8S_POD_NAME: name, K8S_POD_UID: `uid-${index}` };
    const containerId = `container-${index}`;
    const { result, error } = await agent.ask({ command: "ADD", containerId, netns, args });
    assert.equal(error, undefined, JSON.stringify(error));
    assert.ok(result !== undefined && "ips" in result);
    const ip = result.ips[0]?.address ?? "";
    assert.ok(!living.some((each) => each.ip === ip), `${ip} was given to two pods`);
    living.push({ name, uid: `uid-${index}`, containerId, netns, ip });
    mostAtOnce = Math.max(mostAtOnce, living.length);
  };

  const end = async (): Promise<void> => {
    const [gone] = living.splice(draw(living.length), 1);
    if (gone === undefined) return;
    const forget = (): void => {
      objects.delete(gone.name);
      agent.set("Pod", `default/${gone.name}`, undefined);
    };
    const how = draw(10);
    if (how < 7) {
      // The API may hear of it before the runtime, or after.
      if (how < 3) forget();
      assert.deepEqual(await agent.ask({ command: "DEL", containerId: gone.containerId, netns: gone.netns }), {});
      await host.netns.remove(gone.netns);
      forget();
      ends.DEL += 1;
    } else if (how < 9) {
      await host.netns.remove(gone.netns);
      forget();
      ends.vanished += 1;
    } else {
      forget();
      await agent.ask({ command: "GC", validContainerIds: living.map(({ containerId }) => containerId) });
      await host.netns.remove(gone.netns);
      ends.GC += 1;
    }
  };

  for (let index = 0; index < pods; index += 1) {
    await make(index);
    while (living.length >= most || (living.length > 0 && draw(2) === 0)) await end();
    if (draw(50) === 0) {
      agent.kill();
      agent = await start();
      kills += 1;
    }
    if (draw(40) === 0) await agent.sweep();
  }
  while (living.length > 0) await end();
  await agent.sweep();
  assert.deepEqual(agent.records(), []);
  agent.kill();
  return { made: pods, ends, kills, mostAtOnce };
}
