/**
 * The proxy's own uid, by which interception knows what it sends (no capability is needed for that, as one would be for a
 * mark). So no other container of the pod may ask for it. What admission cannot see: an image whose own user is 1337,
 * and a process with CAP_SETUID that changes to it. Such a process sends around its own proxy, and gains nothing else: policies
 * of the network hold, peers that are STRICT refuse it, and it may already have the identity that its proxy has: the pod's.
 *
 * Nor may it see the proxy's process: who may become its uid could read its keys out of its memory, or have it do something else.
 */
import type { Pod } from "#model/core.ts";
import { forbidden, type Problem } from "#model/problem.ts";
import { PROXY_CONTAINER } from "./proxy-kind.ts";

/** Istio's number. */
export const PROXY_UID = 1337;

const SEEN = "its containers would see the proxy's process, whose memory has the pod's keys";
const OTHERWISE = 'leave it out, or annotate the pod with sidecar.istio.io/inject: "false"';

/** Groups do not matter: interception and the agent look at the uid alone. */
export function refusals(pod: Pod): readonly Problem[] {
  const problems: Problem[] = [];
  const why = `${PROXY_UID} is the proxy's uid, and what it sends is not intercepted; choose another, or annotate the pod with sidecar.istio.io/inject: "false"`;
  const common = pod.spec.securityContext?.runAsUser;
  let inherits = false;
  for (const list of ["initContainers", "containers", "ephemeralContainers"] as const) {
    for (const [index, { name, securityContext }] of (pod.spec[list] ?? []).entries()) {
      if (name === PROXY_CONTAINER) continue;
      if (securityContext?.runAsUser === PROXY_UID) problems.push(forbidden(`spec.${list}[${index}].securityContext.runAsUser`, why));
      inherits ||= securityContext?.runAsUser === undefined;
    }
  }
  if (common === PROXY_UID && inherits) problems.push(forbidden("spec.securityContext.runAsUser", why));
  if (pod.spec.hostUsers === false)
    problems.push(forbidden("spec.hostUsers", "a pod with its own user namespace cannot have a proxy: the agent knows the proxy by its uid on the node"));
  for (const field of ["shareProcessNamespace", "hostPID"] as const)
    if (pod.spec[field] === true) problems.push(forbidden(`spec.${field}`, `${SEEN}; ${OTHERWISE}`));
  for (const [index, { targetContainerName }] of (pod.spec.ephemeralContainers ?? []).entries())
    if (targetContainerName === PROXY_CONTAINER)
      problems.push(forbidden(`spec.ephemeralContainers[${index}].targetContainerName`, `${SEEN}; look into it by kubectl exec -c ${PROXY_CONTAINER}`));
  return problems;
}
