/** Deployment and ReplicaSet: the selector must find the template's pods and never changes. */
import type { Deployment, ReplicaSet } from "./apps.ts";
import { structurallyEqual } from "#lib/equal.ts";
import type { PodTemplate } from "./core.ts";
import type { LabelSelector } from "./meta.ts";
import { labelValueBreach, qualifiedNameBreach } from "./names.ts";
import { podSpecProblems } from "./pod-rules.ts";
import { forbidden, invalid, required, unsupported, type Problem } from "./problem.ts";
import { matchesLabelSelector } from "./selectors.ts";

export function deploymentRules(object: Deployment, old: Deployment | undefined): readonly Problem[] {
  const { selector, template, strategy, minReadySeconds = 0, progressDeadlineSeconds } = object.spec;
  const problems = workloadProblems(selector, template, old?.spec.selector);
  if (strategy?.type === "Recreate" && strategy.rollingUpdate !== undefined) {
    problems.push(forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"));
  }
  const { maxSurge, maxUnavailable } = strategy?.rollingUpdate ?? {};
  for (const [name, value] of Object.entries({ maxUnavailable, maxSurge })) {
    const breach = countBreach(value);
    if (breach !== undefined) problems.push(invalid(`spec.strategy.rollingUpdate.${name}`, value, breach));
  }
  const isZero = (value: number | string | undefined) => value === 0 || value === "0%";
  if (isZero(maxSurge) && isZero(maxUnavailable)) {
    problems.push(invalid("spec.strategy.rollingUpdate.maxUnavailable", maxUnavailable, "may not be 0 when `maxSurge` is 0"));
  }
  if (progressDeadlineSeconds !== undefined && progressDeadlineSeconds <= minReadySeconds) {
    problems.push(invalid("spec.progressDeadlineSeconds", progressDeadlineSeconds, "must be greater than minReadySeconds"));
  }
  return problems;
}

function countBreach(value: number | string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number") return value >= 0 ? undefined : "must be greater than or equal to 0";
  if (/^[0-9]+%$/.test(value)) return undefined;
  return "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
}

export function replicaSetRules(object: ReplicaSet, old: ReplicaSet | undefined): readonly Problem[] {
  return workloadProblems(object.spec.selector, object.spec.template, old?.spec.selector);
}

function workloadProblems(given: LabelSelector | undefined, template: PodTemplate | undefined, oldSelector: LabelSelector | undefined): Problem[] {
  const problems: Problem[] = [];
  const selector = given ?? {};
  const isEmpty = Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0;
  if (isEmpty && given !== undefined) problems.push(invalid("spec.selector", selector, "empty selector is invalid for deployment"));
  problems.push(...selectorProblems(selector, "spec.selector"));
  const { labels } = template?.metadata ?? {};
  if (!isEmpty && problems.length === 0 && !matchesLabelSelector(selector, labels)) {
    problems.push(invalid("spec.template.metadata.labels", labels ?? null, "`selector` does not match template `labels`"));
  }
  if (template?.spec === undefined) return [...problems, required("spec.template.spec.containers")];
  problems.push(...podSpecProblems(template.spec, "spec.template.spec"));
  const { restartPolicy } = template.spec;
  if (restartPolicy !== undefined && restartPolicy !== "Always") problems.push(unsupported("spec.template.spec.restartPolicy", restartPolicy, ["Always"]));
  if (oldSelector !== undefined && !structurallyEqual(oldSelector, selector)) problems.push(invalid("spec.selector", selector, "field is immutable"));
  return problems;
}

export function selectorProblems(selector: LabelSelector, path: string): Problem[] {
  const problems: Problem[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    const wrongKey = qualifiedNameBreach(key);
    if (wrongKey !== undefined) problems.push(invalid(`${path}.matchLabels`, key, wrongKey));
    const wrongValue = labelValueBreach(value);
    if (wrongValue !== undefined) problems.push(invalid(`${path}.matchLabels`, value, wrongValue));
  }
  for (const [index, { key = "", operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const where = `${path}.matchExpressions[${index}]`;
    const wrongKey = key === "" ? undefined : qualifiedNameBreach(key);
    if (wrongKey !== undefined) problems.push(invalid(`${where}.key`, key, wrongKey));
    if (operator === "In" || operator === "NotIn") {
      if (values.length === 0) problems.push(required(`${where}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    } else if (operator === "Exists" || operator === "DoesNotExist") {
      if (values.length > 0) problems.push(forbidden(`${where}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
    } else problems.push(invalid(`${where}.operator`, operator, "not a valid selector operator"));
  }
  return problems;
}
