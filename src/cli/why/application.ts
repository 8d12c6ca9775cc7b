/** What can be told of the application at the end of the way: whether somebody is there to answer. */
import type { Pod } from "#model/core.ts";
import { hop, type Hop } from "#decide/why/answer.ts";
import { isReady } from "./find.ts";

/** undefined: nothing speaks against it. Whether a program really listens only it can tell. */
export function applicationHop(pod: Pod, port: number, protocol: "tcp" | "udp"): Hop | undefined {
  const { namespace = "", name } = pod.metadata;
  const by = (field: string) => ({ kind: "Pod", namespace, name, field });
  const own = pod.spec.containers.filter((container) => container.name !== "istio-proxy");
  const states = (pod.status?.containerStatuses ?? []).filter((state) => own.some((container) => container.name === state.name));
  if (states.length > 0 && states.every(({ state }) => state?.running === undefined)) {
    const told = states.map(({ name: container, state }) => `${container}: ${state?.waiting?.reason ?? state?.terminated?.reason ?? "not running"}`).join(", ");
    return hop("application", `no container of ${name} runs now (${told}): nobody answers`, "unknown", {
      by: by("status.containerStatuses"),
      verdict: "unknown",
    });
  }
  if (!isReady(pod)) return hop("application", `${name} is not Ready: it may not answer`, "unknown", { by: by("status.conditions") });
  const declared = own.flatMap((container) => container.ports ?? []);
  if (declared.length === 0 || declared.some(({ containerPort, protocol: spoken = "TCP" }) => containerPort === port && spoken.toLowerCase() === protocol))
    return undefined;
  const list = declared.map(({ containerPort, protocol: spoken = "TCP" }) => `${containerPort}${spoken === "UDP" ? "/udp" : ""}`).join(", ");
  return hop("application", `port ${port} is none that ${name} declares (${list}): if nothing listens there, the connection is refused`, "unknown", {
    by: by("spec.containers"),
  });
}
