import assert from "node:assert/strict";
import { it } from "node:test";
import type { ObjectChange } from "#client/informer.ts";
import { realClock } from "#host/real/clock.ts";
import { realRandom } from "#host/real/random.ts";
import type { KindId, Kinds } from "#model/kinds.ts";
import { objectKey } from "#model/object.ts";
import { silentLog } from "#run/log.ts";
import type { Writer } from "./control-api.ts";
import { LiveWorld } from "./live-world.ts";
import { MeshStatuses } from "./mesh-status.ts";

it("conditions follow what a route names, are written only when they change, and keep their times", async () => {
  const world = new LiveWorld();
  const writes: string[] = [];
  const put = <K extends KindId>(kind: K, object: Kinds[K]): void => {
    const before = world.get(kind, objectKey(object));
    world.set(kind, object);
    statuses.apply([{ kind, key: objectKey(object), before, after: object } as ObjectChange]);
  };
  const writer = {
    patchStatus: async (kind: KindId, object: Kinds[KindId], status: { conditions: { type: string; status: string }[] }) => {
      writes.push(`${object.metadata.name} ${status.conditions.map((condition) => `${condition.type}=${condition.status}`).join(" ")}`);
      put(kind, { ...object, status } as Kinds[KindId]);
    },
  } as unknown as Writer;
  const statuses = new MeshStatuses({ host: { clock: realClock(), random: realRandom() }, log: silentLog, world, writer, events: { record: () => undefined } });
  const settle = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 20));

  put("VirtualService", {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "web", namespace: "default", generation: 1 },
    spec: { hosts: ["web"], http: [{ route: [{ destination: { host: "web" } }] }] },
  });
  await settle();
  assert.deepEqual(writes.splice(0), ["web Accepted=True ResolvedRefs=False FullySupported=True"]);

  put("Service", { apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace: "default" }, spec: { ports: [{ port: 80 }] } });
  await settle();
  assert.deepEqual(writes.splice(0), ["web Accepted=True ResolvedRefs=True FullySupported=True"]);

  put("Service", { apiVersion: "v1", kind: "Service", metadata: { name: "other", namespace: "default" }, spec: { ports: [{ port: 80 }] } });
  await settle();
  assert.deepEqual(writes, []);
  await statuses.stop();
});
