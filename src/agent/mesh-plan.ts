/** Profile mesh: network, Services, policies and names are others' work; what is left of a node's plan is interception. */
import type { NodePlan, PodWiring } from "#model/plan/node-plan.ts";

/** Answers the same plan for the same plan, as compilers do. */
export function onlyInterception(): (plan: NodePlan) => NodePlan {
  let last: { readonly from: NodePlan; readonly made: NodePlan } | undefined;
  return (plan) => {
    if (last?.from !== plan) last = { from: plan, made: without(plan) };
    return last.made;
  };
}

function without(plan: NodePlan): NodePlan {
  return {
    ...plan,
    ...NOTHING,
    vxlan: undefined,
    pods: plan.pods.map((pod): PodWiring => ({ ...pod, inside: { ...NOTHING, tables: pod.inside.tables } })),
    loadBalancerAddresses: [],
    balanced: [],
    drops: {},
  };
}

const NOTHING = { addresses: [], routes: [], neighbours: [], sysctls: [], tables: [] };
