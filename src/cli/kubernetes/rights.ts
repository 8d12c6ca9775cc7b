/** A refusal in a person's words: which right is missing, how to look for it, and what gives it. */
import { ApiRefusal } from "#client/api-error.ts";
import { READER } from "#compile/install/manifest.ts";

export function isForbidden(error: unknown): boolean {
  return error instanceof ApiRefusal && error.status.code === 403;
}

/** `to`: "read flows of agents"; `right`: "get pods/proxy in namespace weft-system". */
export function missingRight(to: string, right: string): string {
  const [verb = "", resource = "", ...rest] = right.split(" ");
  const namespace = rest.at(-1);
  const flag = namespace === undefined ? "" : ` -n ${namespace}`;
  // kubectl takes what follows a slash for an object's name.
  const [kind = "", part] = resource.split("/");
  const asked = part === undefined ? kind : `${kind} --subresource=${part}`;
  const binding = namespace === undefined ? `clusterrolebinding NAME --clusterrole=${READER}` : `rolebinding NAME${flag} --role=${READER}`;
  return [
    `to ${to}, you need the right to ${right}; look:  kubectl auth can-i ${verb} ${asked}${flag}`,
    `whoever administers the cluster gives it by  kubectl create ${binding} --user=YOU`,
  ].join("\n      ");
}
