/** What a Pod may ask for that this runtime does not give, said in words before anything is started. Pure. */
import type { Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";
import type { ConfigProblem } from "./environment.ts";

/** Why the pod cannot run here at all. */
export function podProblem(pod: Pod): ConfigProblem | undefined {
  const { spec } = pod;
  const asked: [boolean | undefined, string][] = [
    [spec.hostNetwork, "hostNetwork"],
    [spec.hostPID, "hostPID"],
    [spec.hostIPC, "hostIPC"],
    [spec.shareProcessNamespace, "shareProcessNamespace"],
  ];
  const found = asked.find(([value]) => value === true);
  if (found === undefined) return undefined;
  return {
    reason: "CreateContainerConfigError",
    message: `spec.${found[1]}: true is not supported: every pod of this cluster has namespaces of its own, and every container a pid namespace`,
  };
}

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

export function identityOf(pod: Pod, container: Container): Identity {
  const uid = container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser ?? 0;
  const gid = container.securityContext?.runAsGroup ?? pod.spec.securityContext?.runAsGroup ?? 0;
  return { uid, gid };
}

export function containerProblem(pod: Pod, container: Container): ConfigProblem | undefined {
  const own = container.securityContext;
  if (own?.privileged === true) {
    return configError(
      `containers[${container.name}].securityContext.privileged: true is not supported: no process of a pod gets capabilities in this cluster`,
    );
  }
  const probe = (["livenessProbe", "readinessProbe", "startupProbe"] as const).find((name) => container[name]?.grpc !== undefined);
  if (probe !== undefined) return configError(`containers[${container.name}].${probe}.grpc is not supported by this runtime; use httpGet, tcpSocket or exec`);
  const hook = (["postStart", "preStop"] as const).find((name) => container.lifecycle?.[name]?.tcpSocket !== undefined);
  if (hook !== undefined)
    return configError(`containers[${container.name}].lifecycle.${hook}.tcpSocket is not supported, nor by Kubernetes; use exec, httpGet or sleep`);
  const nonRoot = own?.runAsNonRoot ?? pod.spec.securityContext?.runAsNonRoot;
  const { uid } = identityOf(pod, container);
  const named = own?.runAsUser ?? pod.spec.securityContext?.runAsUser;
  if (nonRoot === true && named === 0)
    return configError(`container's runAsUser breaks non-root policy (pod: "${pod.metadata.name}", container: ${container.name})`);
  // An image map has no users: a pod that insists on not being root gets an unprivileged uid (effectiveIdentity).
  if (uid < 0 || uid > 0xffff_fffe) return configError(`containers[${container.name}].securityContext.runAsUser: ${uid} is not a user id`);
  return undefined;
}

const someoneElse = 65532;

/** As identityOf; runAsNonRoot without a user gives an unprivileged one. */
export function effectiveIdentity(pod: Pod, container: Container): Identity {
  const { uid, gid } = identityOf(pod, container);
  const nonRoot = container.securityContext?.runAsNonRoot ?? pod.spec.securityContext?.runAsNonRoot;
  return nonRoot === true && uid === 0 ? { uid: someoneElse, gid: gid === 0 ? someoneElse : gid } : { uid, gid };
}

function configError(message: string): ConfigProblem {
  return { reason: "CreateContainerConfigError", message };
}
