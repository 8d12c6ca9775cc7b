/** Deployment and ReplicaSet: the selector must find the template's pods and never changes. */
import type { Deployment, ReplicaSet } from "./apps.ts";
import { structurallyEqual } from "#lib/equal.ts";
import type { PodTemplate } from "./core.ts";
import type { LabelSelector } from "./meta.ts";
import { podSpecProblems } from "./pod-rules.ts";
import { forbidden, invalid, required, unsupported, type Problem } from "./problem.ts";
import { matchesLabelSelector } from "./selectors.ts";

export function deploymentRules(object: Deployment, old: Deployment | undefined): readonly Problem[] {
  const { selector, template, strategy } = object.spec;
  const problems = workloadProblems("deployment", selector, template, old?.spec.selector);
  if (strategy?.type === "Recreate" && strategy.rollingUpdate !== undefined) {
    problems.push(forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"));
  }
  const { maxSurge, maxUnavailable } = strategy?.rollingUpdate ?? {};
  for (const [name, value] of Object.entries({ maxSurge, maxUnavailable })) {
    const fits = value === undefined || (typeof value === "number" ? value >= 0 : /^[0-9]+%$/.test(value));
    if (!fits) problems.push(invalid(`spec.strategy.rollingUpdate.${name}`, value, "must be a non-negative integer or a percentage (e.g. '5%')"));
  }
  const isZero = (value: number | string | undefined) => value === 0 || value === "0%";
  if (isZero(maxSurge) && isZero(maxUnavailable)) {
    problems.push(invalid("spec.strategy.rollingUpdate.maxUnavailable", maxUnavailable, "may not be 0 when `maxSurge` is 0"));
  }
  return problems;
}

export function replicaSetRules(object: ReplicaSet, old: ReplicaSet | undefined): readonly Problem[] {
  return workloadProblems("replicaset", object.spec.selector, object.spec.template, old?.spec.selector);
}

function workloadProblems(what: string, selector: LabelSelector, template: PodTemplate | undefined, oldSelector: LabelSelector | undefined): Problem[] {
  const problems: Problem[] = [];
  const isEmpty = Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0;
  if (isEmpty) problems.push(invalid("spec.selector", selector, `empty selector is invalid for ${what}`));
  problems.push(...selectorProblems(selector, "spec.selector"));
  if (template === undefined) return [...problems, required("spec.template")];
  const { labels } = template.metadata ?? {};
  if (!isEmpty && problems.length === 0 && !matchesLabelSelector(selector, labels)) {
    problems.push(invalid("spec.template.metadata.labels", labels ?? {}, "`selector` does not match template `labels`"));
  }
  problems.push(...podSpecProblems(template.spec, "spec.template.spec"));
  const { restartPolicy } = template.spec;
  if (restartPolicy !== undefined && restartPolicy !== "Always") problems.push(unsupported("spec.template.spec.restartPolicy", restartPolicy, ["Always"]));
  if (oldSelector !== undefined && !structurallyEqual(oldSelector, selector)) problems.push(invalid("spec.selector", selector, "field is immutable"));
  return problems;
}

export function selectorProblems(selector: LabelSelector, path: string): Problem[] {
  const problems: Problem[] = [];
  for (const [index, { operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const where = `${path}.matchExpressions[${index}]`;
    if (operator === "In" || operator === "NotIn") {
      if (values.length === 0) problems.push(required(`${where}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    } else if (operator === "Exists" || operator === "DoesNotExist") {
      if (values.length > 0) problems.push(forbidden(`${where}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
    } else problems.push(invalid(`${where}.operator`, operator, "not a valid selector operator"));
  }
  return problems;
}
