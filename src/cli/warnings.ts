/** What objects ask for and do not get, as their own statuses say. */
import type { Pod } from "#model/core.ts";
import type { ClusterApi } from "./cluster-api.ts";
import { SPEC_HONOURED } from "./up/waiting.ts";

/** What the pod asks for and its node does not do; the condition is there only then. */
export function notHonoured({ metadata, status }: Pod): readonly string[] {
  const condition = status?.conditions?.find(({ type }) => type === SPEC_HONOURED);
  return condition === undefined ? [] : [`Pod ${metadata.namespace ?? "default"}/${metadata.name} ${condition.message ?? ""}`];
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

interface WithConditions {
  readonly kind?: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    /** Of a Gateway. */
    readonly listeners?: readonly { readonly conditions?: readonly Condition[] }[];
    /** Of an HTTPRoute. */
    readonly parents?: readonly { readonly conditions?: readonly Condition[] }[];
  };
}

/** Kinds whose status says what of them is not enforced. */
const MESH_RESOURCES: readonly (readonly [string, string])[] = [
  ["VirtualService", "/apis/networking.istio.io/v1/virtualservices"],
  ["DestinationRule", "/apis/networking.istio.io/v1/destinationrules"],
  ["Gateway", "/apis/networking.istio.io/v1/gateways"],
  ["PeerAuthentication", "/apis/security.istio.io/v1/peerauthentications"],
  ["AuthorizationPolicy", "/apis/security.istio.io/v1/authorizationpolicies"],
  ["Gateway", "/apis/gateway.networking.k8s.io/v1/gateways"],
  ["HTTPRoute", "/apis/gateway.networking.k8s.io/v1/httproutes"],
];

/** What a resource asks for and does not get, as its conditions say: every condition that is False with a message. */
export async function unsupported(api: ClusterApi): Promise<readonly string[]> {
  const found = await Promise.all(
    MESH_RESOURCES.map(async ([kind, path]) => (await api.list<WithConditions>(path).catch(() => [])).flatMap((object) => refusedParts(kind, object))),
  );
  return found.flat();
}

function refusedParts(kind: string, { metadata, status }: WithConditions): readonly string[] {
  const conditions = [...(status?.conditions ?? []), ...[...(status?.listeners ?? []), ...(status?.parents ?? [])].flatMap((part) => part.conditions ?? [])];
  const messages = conditions.filter((condition) => condition.status === "False" && (condition.message ?? "") !== "").map(({ message = "" }) => message);
  return [...new Set(messages)].map((message) => `${kind} ${metadata.namespace ?? "default"}/${metadata.name} ${message}`);
}
