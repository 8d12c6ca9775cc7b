/** What can be told of the application at the end of the way: whether somebody is there to answer. */
import type { Pod, Service } from "#model/core.ts";
import { matchesLabels } from "#model/selectors.ts";
import { hop, type Hop } from "#decide/why/answer.ts";
import { isReady } from "./find.ts";

/** undefined: nothing speaks against it. `services`: of the pod's namespace. */
export function applicationHop(pod: Pod, port: number, protocol: "tcp" | "udp", services: readonly Service[]): Hop | undefined {
  const { namespace = "", name } = pod.metadata;
  const by = (field: string) => ({ kind: "Pod", namespace, name, field });
  const own = pod.spec.containers.filter((container) => container.name !== "istio-proxy");
  const states = (pod.status?.containerStatuses ?? []).filter((state) => own.some((container) => container.name === state.name));
  if (states.length > 0 && states.every(({ state }) => state?.running === undefined)) {
    const told = states.map(({ name: container, state }) => `${container}: ${state?.waiting?.reason ?? state?.terminated?.reason ?? "not running"}`).join(", ");
    const text = `no container of ${name} runs now (${told}): nobody answers`;
    return hop("application", text, "unknown", { by: by("status.containerStatuses"), verdict: "unknown" });
  }
  const declared = own.flatMap((container) => container.ports ?? []);
  const isDeclared = declared.length === 0 || declared.some((each) => each.containerPort === port && (each.protocol === "UDP" ? "udp" : "tcp") === protocol);
  if (!isDeclared && !services.some((service) => sendsTo(service, pod, port, protocol))) {
    const list = declared.map((each) => `${each.containerPort}${each.protocol === "UDP" ? "/udp" : ""}`).join(", ");
    const text = `neither ${name} (${list}) nor a Service names port ${port}${protocol === "udp" ? "/udp" : ""}: if nothing listens there, it is refused`;
    return hop("application", text, "unknown", { by: by("spec.containers"), verdict: "unknown" });
  }
  if (isReady(pod)) return undefined;
  return hop("application", `${name} is not Ready: it may not answer`, "unknown", { by: by("status.conditions") });
}

/** Whether the Service says that the pod listens there. */
function sendsTo({ spec }: Service, pod: Pod, port: number, protocol: "tcp" | "udp"): boolean {
  if (Object.keys(spec.selector ?? {}).length === 0 || !matchesLabels(spec.selector, pod.metadata.labels)) return false;
  return (spec.ports ?? []).some((each) => (each.protocol === "UDP" ? "udp" : "tcp") === protocol && (each.targetPort ?? each.port) === port);
}
