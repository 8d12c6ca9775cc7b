import assert from "node:assert/strict";
import { it } from "node:test";
import type { ObjectChange } from "#client/informer.ts";
import { realClock } from "#host/real/clock.ts";
import { realRandom } from "#host/real/random.ts";
import { findKind, type KindId } from "#model/kinds.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { silentLog } from "#run/log.ts";
import type { Writer } from "./control-api.ts";
import { LiveWorld } from "./live-world.ts";
import { MeshStatuses } from "./mesh-status.ts";

function statusesOver(world: LiveWorld) {
  /** The same in words, of kinds whose conditions are their own. */
  const writes: string[] = [];
  const written: object[] = [];
  const apply = (...objects: readonly KubeObject[]): void => {
    const changes = objects.map((object) => {
      const kind = findKind(object.apiVersion, object.kind)?.id ?? assert.fail(object.kind);
      const before = world.get(kind, objectKey(object));
      world.set(kind, object);
      return { kind, key: objectKey(object), before, after: object } as ObjectChange;
    });
    statuses.apply(changes);
  };
  const remove = (object: KubeObject): void => {
    const kind = findKind(object.apiVersion, object.kind)?.id ?? assert.fail(object.kind);
    world.delete(kind, object as never);
    statuses.apply([{ kind, key: objectKey(object), before: object, after: undefined } as ObjectChange]);
  };
  /** What else happens before a write is done. */
  const meanwhile: { happens: () => void } = { happens: () => undefined };
  const writer = {
    patchStatus: async (_kind: KindId, object: KubeObject, status: { conditions?: { type: string; status: string }[] }) => {
      written.push(status);
      if (status.conditions !== undefined)
        writes.push(`${object.metadata.name} ${status.conditions.map((condition) => `${condition.type}=${condition.status}`).join(" ")}`);
      apply({ ...object, status } as KubeObject);
      meanwhile.happens();
    },
  } as unknown as Writer;
  const statuses = new MeshStatuses({ host: { clock: realClock(), random: realRandom() }, log: silentLog, world, writer, events: { record: () => undefined } });
  return { statuses, writes, written, apply, remove, meanwhile };
}

const route = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "web", namespace: "default", generation: 1 },
  spec: { hosts: ["web"], http: [{ route: [{ destination: { host: "web" } }] }] },
};
const service = (name: string) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "default" },
  spec: { ports: [{ name: "http", port: 80 }] },
});
const settle = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 20));

it("what comes together is looked at together: a control plane that starts writes nothing that is wrong for a moment", async () => {
  const { statuses, writes, apply } = statusesOver(new LiveWorld());
  apply(route, service("web"));
  await settle();
  assert.deepEqual(writes, ["web Accepted=True ResolvedRefs=True FullySupported=True"]);
  await statuses.stop();
});

it("conditions follow what a route names, are written only when they change, and keep their times", async () => {
  const { statuses, writes, apply } = statusesOver(new LiveWorld());
  apply(route);
  await settle();
  assert.deepEqual(writes.splice(0), ["web Accepted=True ResolvedRefs=False FullySupported=True"]);
  apply(service("web"));
  await settle();
  assert.deepEqual(writes.splice(0), ["web Accepted=True ResolvedRefs=True FullySupported=True"]);
  apply(service("other"));
  await settle();
  assert.deepEqual(writes, []);
  await statuses.stop();
});

it("an object that is made anew under its name is told the same again, even when the first went while it was written to", async () => {
  const { statuses, writes, apply, remove, meanwhile } = statusesOver(new LiveWorld());
  const first = { ...route, metadata: { ...route.metadata, uid: "first" } };
  meanwhile.happens = () => remove(first);
  apply(first);
  await settle();
  meanwhile.happens = () => undefined;
  apply({ ...route, metadata: { ...route.metadata, uid: "second" } });
  await settle();
  assert.deepEqual(
    writes,
    Array.from({ length: 2 }, () => "web Accepted=True ResolvedRefs=False FullySupported=True"),
  );
  await statuses.stop();
});

it("of a route that several controllers speak about only our part is written, and nothing at all when we have no part", async () => {
  const { statuses, written, apply } = statusesOver(new LiveWorld());
  const theirs = {
    parentRef: { name: "theirs" },
    controllerName: "example.org/controller",
    conditions: [{ type: "Accepted", status: "True", reason: "Accepted", message: "" }],
  };
  const httpRoute = (name: string, parents: readonly string[], status?: object) =>
    ({
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name, namespace: "default", generation: 1 },
      spec: { parentRefs: parents.map((each) => ({ name: each })) },
      ...(status === undefined ? {} : { status }),
    }) as KubeObject;
  const gateway = (name: string, gatewayClassName: string) =>
    ({
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: { name, namespace: "default" },
      spec: { gatewayClassName, listeners: [{ name: "a", port: 80, protocol: "HTTP" }] },
    }) as KubeObject;
  apply(gateway("ours", "weft"), gateway("theirs", "other"), httpRoute("foreign", ["theirs"]), httpRoute("shared", ["theirs", "ours"], { parents: [theirs] }));
  await settle();
  const routes = written.filter((status): status is { parents: { controllerName: string }[] } => "parents" in status);
  assert.deepEqual(
    routes.map(({ parents }) => parents.map(({ controllerName }) => controllerName)),
    [["example.org/controller", "weft.dev/gateway-controller"]],
  );
  written.length = 0;
  const [shared] = routes;
  apply(httpRoute("shared", ["theirs", "ours"], { parents: shared?.parents.toReversed() }));
  await settle();
  assert.deepEqual(written, [], "another order is no reason to write");
  await statuses.stop();
});
