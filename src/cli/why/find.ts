/** Pods and Services by the names that people use for them. */
import type { Pod, Service } from "#model/core.ts";
import type { WorldReader } from "#model/world.ts";

function splitNamespace(text: string, namespace: string): { readonly namespace: string; readonly name: string } {
  const slash = text.indexOf("/");
  return slash < 0 ? { namespace, name: text } : { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}

/** By name, by `deploy/name`, or by the beginning of a name that only pods of one workload share. Ready ones first. */
export function findPods(text: string, world: WorldReader, inNamespace: string): readonly Pod[] {
  const deployment = /^(?:([^/]+)\/)?deploy(?:ment)?s?\/(.*)$/.exec(text);
  const plain = text.replace(/(^|\/)(pods?|po)\//, "$1");
  const { namespace, name } =
    deployment === null ? splitNamespace(plain, inNamespace) : { ...splitNamespace(deployment[2] ?? "", deployment[1] ?? inNamespace) };
  const pods = world.inNamespace("Pod", namespace).filter(({ status }) => status?.phase !== "Succeeded" && status?.phase !== "Failed");
  const exact = pods.filter(({ metadata }) => metadata.name === name);
  if (exact.length > 0 && deployment === null) return exact;
  const ofWorkload = readyFirst(pods.filter((pod) => new RegExp(`^${name.replaceAll(/[.]/g, "\\.")}-[a-z0-9]+-[a-z0-9]+$`).test(pod.metadata.name)));
  if (deployment !== null || ofWorkload.length > 0) return ofWorkload;
  return readyFirst(pods.filter((pod) => pod.metadata.name.startsWith(`${name}-`) || (name.includes("-") && pod.metadata.name.startsWith(name))));
}

function readyFirst(pods: readonly Pod[]): readonly Pod[] {
  return pods.toSorted((a, b) => Number(isReady(b)) - Number(isReady(a)));
}

export function isReady({ status }: Pod): boolean {
  return (status?.conditions ?? []).some(({ type, status: is }) => type === "Ready" && is === "True");
}

/** "reviews", "svc/reviews", "shop/reviews", "shop/svc/reviews", "reviews.shop", "reviews.shop.svc.cluster.local" */
export function findService(text: string, world: WorldReader, inNamespace: string): Service | undefined {
  const plain = text.replace(/(^|\/)(svc|services?)\//, "$1").toLowerCase();
  const { namespace, name } = splitNamespace(plain, inNamespace);
  const dotted = /^([^.]+)\.([^.]+)(\.svc(\.cluster\.local\.?)?)?$/.exec(name);
  return world.get("Service", `${namespace}/${name}`) ?? (dotted === null ? undefined : world.get("Service", `${dotted[2]}/${dotted[1]}`));
}

export function podsBehind({ metadata }: Service, world: WorldReader): readonly Pod[] {
  const namespace = metadata.namespace ?? "";
  const slices = world.inNamespace("EndpointSlice", namespace).filter((slice) => slice.metadata.labels?.["kubernetes.io/service-name"] === metadata.name);
  const names = slices.flatMap(({ endpoints }) => endpoints.flatMap(({ targetRef }) => targetRef?.name ?? []));
  return names.flatMap((name) => world.get("Pod", `${namespace}/${name}`) ?? []);
}
