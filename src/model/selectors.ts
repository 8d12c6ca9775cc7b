/** Label selectors of objects (LabelSelector) and of requests ("app in (a,b),!x"). */
import type { LabelSelector } from "./meta.ts";

export type Labels = Readonly<Record<string, string>>;

/** Equality only: Service.spec.selector and the like. An empty selector matches everything here; callers give it its meaning. */
export function matchesLabels(selector: Labels | undefined, labels: Labels | undefined): boolean {
  for (const key in selector) if (labels?.[key] !== selector[key]) return false;
  return true;
}

/** An absent selector matches nothing, an empty one everything (Kubernetes' LabelSelector). */
export function matchesLabelSelector(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
  if (selector === undefined || !matchesLabels(selector.matchLabels, labels)) return false;
  return (selector.matchExpressions ?? []).every(({ key, operator, values }) => holds({ key, operator, values: values ?? [] }, labels ?? {}));
}

export interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values: readonly string[];
}

function holds({ key, operator, values }: Requirement, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
      return value !== undefined && Number(value) > Number(values[0]);
    case "Lt":
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return false;
  }
}

export function matchesRequirements(requirements: readonly Requirement[], labels: Labels | undefined): boolean {
  return requirements.every((requirement) => holds(requirement, labels ?? {}));
}

/** The `labelSelector` query parameter; a string says what is wrong with it. */
export function parseRequirements(selector: string): readonly Requirement[] | string {
  const requirements: Requirement[] = [];
  for (const part of splitOutsideParentheses(selector)) {
    const requirement = parseRequirement(part.trim());
    if (requirement === undefined) return `unable to parse requirement: ${JSON.stringify(part.trim())}`;
    requirements.push(requirement);
  }
  return requirements;
}

function parseRequirement(part: string): Requirement | undefined {
  const key = "([A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?)";
  let found = new RegExp(`^!\\s*${key}$`).exec(part);
  if (found?.[1] !== undefined) return { key: found[1], operator: "DoesNotExist", values: [] };
  found = new RegExp(`^${key}$`).exec(part);
  if (found?.[1] !== undefined) return { key: found[1], operator: "Exists", values: [] };
  found = new RegExp(`^${key}\\s*(==|=|!=|>|<)\\s*([-A-Za-z0-9_.]*)$`).exec(part);
  if (found?.[1] !== undefined) {
    const operator = { "=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt" }[found[3] ?? ""] ?? "In";
    return { key: found[1], operator, values: [found[4] ?? ""] };
  }
  found = new RegExp(`^${key}\\s+(in|notin)\\s*\\(([^()]*)\\)$`).exec(part);
  if (found?.[1] === undefined) return undefined;
  return { key: found[1], operator: found[3] === "in" ? "In" : "NotIn", values: (found[4] ?? "").split(",").map((value) => value.trim()) };
}

function splitOutsideParentheses(selector: string): string[] {
  return selector.trim() === "" ? [] : selector.split(/,(?![^(]*\))/);
}
