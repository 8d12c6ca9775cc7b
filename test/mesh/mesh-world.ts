/** A small mesh without a machine: manifests in, plans of its proxies out, and connections to ask them about. */
import assert from "node:assert/strict";
import { imagineWorld } from "#compile/imagine/imagine.ts";
import { MeshCompiler } from "#compile/xds/xds.ts";
import { planView, type PlanView } from "#decide/why/plan-view.ts";
import type { ConnectionView } from "#decide/request-view.ts";
import { parseIp } from "#lib/ip.ts";
import { findKind } from "#model/kinds.ts";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { stringify } from "yaml";

export class MeshWorld {
  readonly #compiler: MeshCompiler;
  readonly #pods: readonly string[];
  #objects: readonly KubeObject[] = [];

  constructor(yaml: string) {
    const world = imagineWorld(admitted(yaml));
    this.#compiler = new MeshCompiler(world);
    this.#pods = [...(world.Pod?.keys() ?? [])];
  }

  /** These and no others, beside what the mesh began with. */
  have(objects: readonly object[]): void {
    const next = admitted(objects.map((object) => stringify(object)).join("---\n"));
    const kindOf = (object: KubeObject) => findKind(object.apiVersion, object.kind)?.id ?? assert.fail(object.kind);
    const gone = this.#objects.map((object) => ({ kind: kindOf(object), key: objectKey(object) }));
    this.#compiler.apply([...gone, ...next.map((object) => ({ kind: kindOf(object), key: objectKey(object), object }))]);
    this.#objects = next;
  }

  /** The plan of the first pod whose name begins so. */
  planOf(pod: string): PlanView {
    const key = this.#pods.find((each) => each.startsWith(pod)) ?? assert.fail(`no pod ${pod} among ${this.#pods.join(" ")}`);
    return planView(this.#compiler.plan(key) ?? assert.fail(`${key} has no proxy`));
  }
}

function admitted(yaml: string): readonly KubeObject[] {
  const { objects, problems } = admitManifests(parseManifests("test", yaml));
  assert.deepEqual(problems, []);
  return objects;
}

export type Arrival = "plain" | "mesh TLS" | "foreign TLS";

/** A connection that arrives at a pod. */
export function arriving(how: Arrival, port: number, principal: string | undefined, from = "10.244.9.9"): ConnectionView {
  const remote = { ip: parseIp(from), port: 40_000 };
  const peer = how === "mesh TLS" && principal !== undefined ? { peer: { uris: [principal], dnsNames: [], subject: "" } } : { peer: undefined };
  return {
    destination: { ip: parseIp("10.244.0.9"), port },
    directRemote: remote,
    remote,
    serverName: undefined,
    transportProtocol: how === "plain" ? "raw_buffer" : "tls",
    applicationProtocols: how === "mesh TLS" ? ["istio"] : how === "foreign TLS" ? ["http/1.1"] : [],
    ...peer,
  };
}
