/** Tests of what a node compiles take the World through here: what its agent keeps must give the same plan as whole objects. */
import assert from "node:assert/strict";
import { kindIds } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import { worldReader, type World } from "#model/world.ts";
import { keptOnNode } from "./kept.ts";
import { compileNode, type NodeQuestion } from "./node.ts";
import type { LocalPod } from "./settings.ts";

export function planOfKept(world: World, question: NodeQuestion, wired: readonly LocalPod[] = []): NodePlan {
  const plan = compileNode(worldReader(world), question, wired);
  assert.deepEqual(compileNode(worldReader(keptWorld(world, question.node)), question, wired), plan);
  return plan;
}

function keptWorld(world: World, node: string): World {
  const keep = keptOnNode(node);
  return Object.fromEntries(
    kindIds.map((kind) => {
      const kept = keep[kind] as ((object: KubeObject) => KubeObject) | undefined;
      return [kind, new Map([...(world[kind] ?? [])].map(([key, object]) => [key, kept?.(object) ?? object]))];
    }),
  ) as World;
}
