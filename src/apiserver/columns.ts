/** The columns of `kubectl get`, as upstream prints them. Priority 1 shows with -o wide. Cells are computed, not JSON paths. */
import type { Deployment, ReplicaSet } from "#model/apps.ts";
import type { Namespace, Node, Pod, Secret, Service, ServiceAccount, ConfigMap, Event } from "#model/core.ts";
import type { EndpointSlice } from "#model/discovery.ts";
import type { Gateway, GatewayClass, HTTPRoute } from "#model/gateway-api.ts";
import type { AuthorizationPolicy, DestinationRule, PeerAuthentication, VirtualService } from "#model/istio.ts";
import type { KindId } from "#model/kinds.ts";
import type { LabelSelector } from "#model/meta.ts";
import type { NetworkPolicy } from "#model/networking.ts";
import type { KubeObject } from "#model/object.ts";
import type { Scale } from "./subresources.ts";
import { podReady, podRestarts, podStatusText } from "./pod-cells.ts";

export interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly wide?: true;
  /** `now` in milliseconds. */
  readonly cell: (object: never, now: number) => string | number;
}

const nameColumn: Column = { name: "Name", type: "string", cell: (object: KubeObject) => object.metadata.name };
const age: Column = { name: "Age", type: "string", cell: (object: KubeObject, now: number) => ageOf(object.metadata.creationTimestamp, now) };
const column = <T extends KubeObject>(name: string, cell: (object: T, now: number) => string | number): Column => ({ name, type: "string", cell });
const number = <T extends KubeObject>(name: string, cell: (object: T, now: number) => number): Column => ({ name, type: "integer", cell });
const wide = (each: Column): Column => ({ ...each, wide: true });
/** Kinds that are CRDs upstream call the column a date; the server writes the age all the same. */
const created: Column = { ...age, type: "date" };

const columns: { readonly [K in KindId]?: readonly Column[] } = {
  Namespace: [column<Namespace>("Status", (object) => object.status?.phase ?? "Active"), age],
  Node: [
    column<Node>("Status", nodeStatus),
    column<Node>("Roles", ({ metadata }) => rolesOf(metadata.labels) || "<none>"),
    age,
    column<Node>("Version", ({ status }) => status?.nodeInfo?.kubeletVersion ?? ""),
    wide(column<Node>("Internal-IP", (node) => addressOf(node, "InternalIP"))),
    wide(column<Node>("External-IP", (node) => addressOf(node, "ExternalIP"))),
    wide(column<Node>("OS-Image", ({ status }) => status?.nodeInfo?.osImage ?? "<unknown>")),
    wide(column<Node>("Kernel-Version", ({ status }) => status?.nodeInfo?.kernelVersion ?? "<unknown>")),
    wide(column<Node>("Container-Runtime", ({ status }) => status?.nodeInfo?.containerRuntimeVersion ?? "<unknown>")),
  ],
  Pod: [
    column<Pod>("Ready", podReady),
    column<Pod>("Status", podStatusText),
    column<Pod>("Restarts", (pod, now) => podRestarts(pod, (time) => ageOf(time, now))),
    age,
    wide(column<Pod>("IP", ({ status }) => status?.podIP ?? "<none>")),
    wide(column<Pod>("Node", ({ spec }) => spec.nodeName ?? "<none>")),
    wide(column<Pod>("Nominated Node", ({ status }) => status?.nominatedNodeName ?? "<none>")),
    wide(column<Pod>("Readiness Gates", () => "<none>")),
  ],
  Service: [
    column<Service>("Type", ({ spec }) => spec.type ?? "ClusterIP"),
    column<Service>("Cluster-IP", ({ spec }) => spec.clusterIP ?? "<none>"),
    column<Service>("External-IP", externalIp),
    column<Service>(
      "Port(s)",
      ({ spec }) =>
        (spec.ports ?? [])
          .map(({ port, nodePort, protocol }) => `${port}${nodePort === undefined || nodePort === 0 ? "" : `:${nodePort}`}/${protocol ?? "TCP"}`)
          .join(",") || "<none>",
    ),
    age,
    wide(column<Service>("Selector", ({ spec }) => labelText(spec.selector) || "<none>")),
  ],
  ServiceAccount: [number<ServiceAccount>("Secrets", ({ secrets }) => (secrets ?? []).length), age],
  ConfigMap: [number<ConfigMap>("Data", ({ data, binaryData }) => Object.keys({ ...data, ...binaryData }).length), age],
  Secret: [column<Secret>("Type", ({ type }) => type ?? ""), number<Secret>("Data", ({ data }) => Object.keys(data ?? {}).length), age],
  Event: [
    column<Event>("Last Seen", (event, now) => ageOf(event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp, now)),
    column<Event>("Type", ({ type }) => type ?? ""),
    column<Event>("Reason", ({ reason }) => reason ?? ""),
    column<Event>("Object", ({ involvedObject }) => `${(involvedObject?.kind ?? "").toLowerCase()}/${involvedObject?.name ?? ""}`),
    wide(column<Event>("Subobject", ({ involvedObject }) => involvedObject?.fieldPath ?? "")),
    wide(column<Event>("Source", ({ source, reportingComponent }) => [source?.component ?? reportingComponent ?? "", source?.host].filter(Boolean).join(", "))),
    column<Event>("Message", ({ message }) => (message ?? "").trim()),
    wide(column<Event>("First Seen", (event, now) => ageOf(event.firstTimestamp ?? event.eventTime, now))),
    wide(number<Event>("Count", (event) => event.series?.count ?? event.count ?? 1)),
    wide(nameColumn),
  ],
  Deployment: [
    column<Deployment>("Ready", ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`),
    number<Deployment>("Up-to-date", ({ status }) => status?.updatedReplicas ?? 0),
    number<Deployment>("Available", ({ status }) => status?.availableReplicas ?? 0),
    age,
    ...workloadColumns<Deployment>((object) => object.spec),
  ],
  ReplicaSet: [
    number<ReplicaSet>("Desired", ({ spec }) => spec.replicas ?? 1),
    number<ReplicaSet>("Current", ({ status }) => status?.replicas ?? 0),
    number<ReplicaSet>("Ready", ({ status }) => status?.readyReplicas ?? 0),
    age,
    ...workloadColumns<ReplicaSet>((object) => object.spec),
  ],
  EndpointSlice: [
    column<EndpointSlice>("AddressType", ({ addressType }) => addressType),
    column<EndpointSlice>("Ports", ({ ports }) =>
      shortened(
        (ports ?? []).map(({ port }) => String(port ?? "<unset>")),
        "<unset>",
      ),
    ),
    column<EndpointSlice>("Endpoints", ({ endpoints }) =>
      shortened(
        (endpoints ?? []).flatMap(({ addresses }) => addresses),
        "<unset>",
      ),
    ),
    age,
  ],
  NetworkPolicy: [column<NetworkPolicy>("Pod-Selector", ({ spec }) => selectorText(spec?.podSelector)), age],
  Lease: [column<KubeObject & { spec?: { holderIdentity?: string } }>("Holder", ({ spec }) => spec?.holderIdentity ?? ""), age],
  VirtualService: [
    column<VirtualService>("Gateways", ({ spec }) => listText(spec.gateways)),
    column<VirtualService>("Hosts", ({ spec }) => listText(spec.hosts)),
    created,
  ],
  DestinationRule: [column<DestinationRule>("Host", ({ spec }) => spec.host), created],
  IstioGateway: [created],
  PeerAuthentication: [column<PeerAuthentication>("Mode", ({ spec }) => spec?.mtls?.mode ?? ""), created],
  AuthorizationPolicy: [column<AuthorizationPolicy>("Action", ({ spec }) => spec?.action ?? ""), created],
  GatewayClass: [
    column<GatewayClass>("Controller", ({ spec }) => spec.controllerName),
    column<GatewayClass>("Accepted", ({ status }) => conditionOf(status?.conditions, "Accepted")),
    created,
    wide(column<GatewayClass>("Description", ({ spec }) => spec.description ?? "")),
  ],
  Gateway: [
    column<Gateway>("Class", ({ spec }) => spec.gatewayClassName),
    column<Gateway>("Address", ({ status }) => (status?.addresses ?? []).map(({ value }) => value).join(",")),
    column<Gateway>("Programmed", ({ status }) => conditionOf(status?.conditions, "Programmed")),
    created,
  ],
  HTTPRoute: [column<HTTPRoute>("Hostnames", ({ spec }) => listText(spec.hostnames)), created],
  ReferenceGrant: [created],
};

/** Of the scale subresource. */
export const scaleColumns: readonly Column[] = [
  nameColumn,
  number<Scale>("Desired", ({ spec }) => spec.replicas),
  number<Scale>("Available", ({ status }) => status.replicas),
  age,
];

export function columnsOf(kind: KindId): readonly Column[] {
  const rest = columns[kind] ?? [age];
  return kind === "Event" ? rest : [nameColumn, ...rest];
}

function workloadColumns<T extends KubeObject>(
  specOf: (object: T) => {
    readonly selector: LabelSelector;
    readonly template?: { readonly spec: { readonly containers: readonly { readonly name: string; readonly image?: string }[] } };
  },
): readonly Column[] {
  const containers = (object: T) => specOf(object).template?.spec.containers ?? [];
  return [
    wide(
      column<T>("Containers", (object) =>
        containers(object)
          .map(({ name }) => name)
          .join(","),
      ),
    ),
    wide(
      column<T>("Images", (object) =>
        containers(object)
          .map(({ image }) => image ?? "")
          .join(","),
      ),
    ),
    wide(column<T>("Selector", (object) => selectorText(specOf(object).selector))),
  ];
}

/** As kubectl writes ages: 45s, 3m12s, 5h, 2d3h, 400d. */
export function ageOf(time: string | undefined, now: number): string {
  if (time === undefined) return "<unknown>";
  const seconds = Math.floor((now - Date.parse(time)) / 1000);
  if (Number.isNaN(seconds)) return "<invalid>";
  if (seconds < 0) return seconds < -1 ? "<invalid>" : "0s";
  const two = (big: number, bigUnit: string, small: number, smallUnit: string) => (small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return two(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  if (days < 8) return two(days, "d", hours % 24, "h");
  if (days < 730) return `${days}d`;
  return two(Math.floor(days / 365), "y", days % 365, "d");
}

function nodeStatus({ status, spec }: Node): string {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  const text = ready === undefined ? "Unknown" : ready.status === "True" ? "Ready" : "NotReady";
  return spec?.unschedulable === true ? `${text},SchedulingDisabled` : text;
}

function rolesOf(labels: Readonly<Record<string, string>> = {}): string {
  const prefix = "node-role.kubernetes.io/";
  return Object.keys(labels)
    .filter((label) => label.startsWith(prefix))
    .map((label) => label.slice(prefix.length))
    .toSorted()
    .join(",");
}

function addressOf({ status }: Node, type: string): string {
  return status?.addresses?.find((address) => address.type === type)?.address ?? "<none>";
}

function externalIp({ spec, status }: Service): string {
  const external = spec.externalIPs ?? [];
  if (spec.type === "ExternalName") return spec.externalName ?? "";
  if (spec.type !== "LoadBalancer") return external.join(",") || "<none>";
  const balancers = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? "");
  return [...balancers, ...external].join(",") || "<pending>";
}

function labelText(labels: Readonly<Record<string, string>> = {}): string {
  return Object.entries(labels)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

function selectorText(selector: LabelSelector | undefined): string {
  const expressions = (selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    if (operator === "Exists") return key;
    return operator === "DoesNotExist" ? `!${key}` : `${key} ${operator.toLowerCase()} (${values.join(",")})`;
  });
  return [labelText(selector?.matchLabels), ...expressions].filter((text) => text !== "").join(",") || "<none>";
}

function shortened(items: readonly string[], none: string): string {
  if (items.length === 0) return none;
  return items.length <= 3 ? items.join(",") : `${items.slice(0, 3).join(",")} + ${items.length - 3} more...`;
}

function conditionOf(conditions: readonly { readonly type: string; readonly status: string }[] | undefined, type: string): string {
  return conditions?.find((condition) => condition.type === type)?.status ?? "";
}

/** Upstream's JSON paths print lists as JSON. */
function listText(items: readonly string[] | undefined): string {
  return items === undefined ? "" : JSON.stringify(items);
}
