/** A refusal in a person's words: which right is missing, and how to look for it. */
import { ApiRefusal } from "#client/api-error.ts";

export function isForbidden(error: unknown): boolean {
  return error instanceof ApiRefusal && error.status.code === 403;
}

/** `to`: "read flows of agents"; `right`: "get pods/proxy in namespace weft-system". */
export function missingRight(to: string, right: string): string {
  const [verb = "", resource = "", ...rest] = right.split(" ");
  const namespace = rest.at(-1);
  const flag = namespace === undefined ? "" : ` -n ${namespace}`;
  return `to ${to}, you need the right to ${right}; look:  kubectl auth can-i ${verb} ${resource}${flag}`;
}
