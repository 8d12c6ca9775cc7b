/** The table of kinds that Weft knows: names, versions, schema. Everything that treats kinds alike reads it. */
import { deploymentSpec, deploymentStatus, replicaSetSpec, replicaSetStatus, type Deployment, type ReplicaSet } from "./apps.ts";
import { leaseSpec, type Lease } from "./coordination.ts";
import * as core from "./core.ts";
import { endpointSliceFields, endpointSliceOptional, type EndpointSlice } from "./discovery.ts";
import * as gatewayApi from "./gateway-api.ts";
import * as istio from "./istio.ts";
import { objectMeta } from "./meta.ts";
import { networkPolicySpec, type NetworkPolicy } from "./networking.ts";
import { struct, text, type Schema, type SchemaFacts } from "./schema.ts";

export interface Kinds {
  readonly Namespace: core.Namespace;
  readonly Node: core.Node;
  readonly Pod: core.Pod;
  readonly Service: core.Service;
  readonly ServiceAccount: core.ServiceAccount;
  readonly ConfigMap: core.ConfigMap;
  readonly Secret: core.Secret;
  readonly Event: core.Event;
  readonly Deployment: Deployment;
  readonly ReplicaSet: ReplicaSet;
  readonly EndpointSlice: EndpointSlice;
  readonly NetworkPolicy: NetworkPolicy;
  readonly Lease: Lease;
  readonly VirtualService: istio.VirtualService;
  readonly DestinationRule: istio.DestinationRule;
  /** networking.istio.io Gateway; "Gateway" alone is the Gateway API's. */
  readonly IstioGateway: istio.IstioGateway;
  readonly PeerAuthentication: istio.PeerAuthentication;
  readonly AuthorizationPolicy: istio.AuthorizationPolicy;
  readonly GatewayClass: gatewayApi.GatewayClass;
  readonly Gateway: gatewayApi.Gateway;
  readonly HTTPRoute: gatewayApi.HTTPRoute;
  readonly ReferenceGrant: gatewayApi.ReferenceGrant;
}

export type KindId = keyof Kinds;

export interface KindInfo {
  readonly id: KindId;
  /** As in manifests. */
  readonly kind: string;
  /** "" is the core group. */
  readonly group: string;
  /** Served versions, preferred first. All have one schema, so converting is renaming; objects are stored in the first. */
  readonly versions: readonly string[];
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Of the whole object. */
  readonly schema: Schema;
  /** Has a status subresource: writes to the object keep the stored status, and the other way round. */
  readonly hasStatus: boolean;
  /** Has a scale subresource over spec.replicas. */
  readonly hasScale: boolean;
  /** Part of Kubernetes itself: strategic merge patches work, and decoding errors are worded as Go's. */
  readonly builtIn: boolean;
}

interface Described {
  readonly kind?: string;
  readonly group: string;
  readonly versions: readonly string[];
  readonly plural: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly clusterScoped?: true;
  readonly hasScale?: true;
  readonly definitions: string;
  readonly required?: Readonly<Record<string, SchemaFacts>>;
  readonly optional?: Readonly<Record<string, SchemaFacts>>;
}

const inCore = { group: "", versions: ["v1"], definitions: "io.k8s.api.core.v1" };
const inApps = { group: "apps", versions: ["v1"], definitions: "io.k8s.api.apps.v1", categories: ["all"] };
const inIstioNetworking = {
  group: "networking.istio.io",
  versions: ["v1", "v1beta1", "v1alpha3"],
  definitions: "io.istio.networking.v1",
  categories: ["istio-io", "networking-istio-io"],
};
const inIstioSecurity = {
  group: "security.istio.io",
  versions: ["v1", "v1beta1"],
  definitions: "io.istio.security.v1",
  categories: ["istio-io", "security-istio-io"],
};
const inGatewayApi = {
  group: "gateway.networking.k8s.io",
  versions: ["v1", "v1beta1"],
  definitions: "io.k8s.networking.gateway.v1",
  categories: ["gateway-api"],
};

const described: { readonly [K in KindId]: Described } = {
  Namespace: { ...inCore, plural: "namespaces", shortNames: ["ns"], clusterScoped: true, optional: { spec: core.namespaceSpec, status: core.namespaceStatus } },
  Node: { ...inCore, plural: "nodes", shortNames: ["no"], clusterScoped: true, optional: { spec: core.nodeSpec, status: core.nodeStatus } },
  Pod: { ...inCore, plural: "pods", shortNames: ["po"], categories: ["all"], required: { spec: core.podSpec }, optional: { status: core.podStatus } },
  Service: {
    ...inCore,
    plural: "services",
    shortNames: ["svc"],
    categories: ["all"],
    required: { spec: core.serviceSpec },
    optional: { status: core.serviceStatus },
  },
  ServiceAccount: { ...inCore, plural: "serviceaccounts", shortNames: ["sa"], optional: core.serviceAccountFields },
  ConfigMap: { ...inCore, plural: "configmaps", shortNames: ["cm"], optional: core.configMapFields },
  Secret: { ...inCore, plural: "secrets", optional: core.secretFields },
  Event: { ...inCore, plural: "events", shortNames: ["ev"], required: { involvedObject: core.eventFields.involvedObject }, optional: core.eventFields },
  Deployment: {
    ...inApps,
    plural: "deployments",
    shortNames: ["deploy"],
    hasScale: true,
    required: { spec: deploymentSpec },
    optional: { status: deploymentStatus },
  },
  ReplicaSet: {
    ...inApps,
    plural: "replicasets",
    shortNames: ["rs"],
    hasScale: true,
    required: { spec: replicaSetSpec },
    optional: { status: replicaSetStatus },
  },
  EndpointSlice: {
    group: "discovery.k8s.io",
    versions: ["v1"],
    plural: "endpointslices",
    definitions: "io.k8s.api.discovery.v1",
    required: endpointSliceFields,
    optional: endpointSliceOptional,
  },
  NetworkPolicy: {
    group: "networking.k8s.io",
    versions: ["v1"],
    plural: "networkpolicies",
    shortNames: ["netpol"],
    definitions: "io.k8s.api.networking.v1",
    optional: { spec: networkPolicySpec },
  },
  Lease: { group: "coordination.k8s.io", versions: ["v1"], plural: "leases", definitions: "io.k8s.api.coordination.v1", optional: { spec: leaseSpec } },
  VirtualService: {
    ...inIstioNetworking,
    plural: "virtualservices",
    shortNames: ["vs"],
    required: { spec: istio.virtualServiceSpec },
    optional: { status: istio.istioStatus },
  },
  DestinationRule: {
    ...inIstioNetworking,
    plural: "destinationrules",
    shortNames: ["dr"],
    required: { spec: istio.destinationRuleSpec },
    optional: { status: istio.istioStatus },
  },
  IstioGateway: {
    ...inIstioNetworking,
    kind: "Gateway",
    plural: "gateways",
    shortNames: ["gw"],
    required: { spec: istio.istioGatewaySpec },
    optional: { status: istio.istioStatus },
  },
  PeerAuthentication: {
    ...inIstioSecurity,
    plural: "peerauthentications",
    shortNames: ["pa"],
    optional: { spec: istio.peerAuthenticationSpec, status: istio.istioStatus },
  },
  AuthorizationPolicy: {
    ...inIstioSecurity,
    plural: "authorizationpolicies",
    shortNames: ["ap"],
    optional: { spec: istio.authorizationPolicySpec, status: istio.istioStatus },
  },
  GatewayClass: {
    ...inGatewayApi,
    plural: "gatewayclasses",
    shortNames: ["gc"],
    clusterScoped: true,
    required: { spec: gatewayApi.gatewayClassSpec },
    optional: { status: gatewayApi.gatewayClassStatus },
  },
  Gateway: {
    ...inGatewayApi,
    plural: "gateways",
    shortNames: ["gtw"],
    required: { spec: gatewayApi.gatewaySpec },
    optional: { status: gatewayApi.gatewayStatus },
  },
  HTTPRoute: { ...inGatewayApi, plural: "httproutes", required: { spec: gatewayApi.httpRouteSpec }, optional: { status: gatewayApi.routeStatus } },
  ReferenceGrant: { ...inGatewayApi, plural: "referencegrants", shortNames: ["refgrant"], required: { spec: gatewayApi.referenceGrantSpec } },
};

function kindInfo(id: KindId, { required = {}, optional = {}, ...of }: Described): KindInfo {
  const kind = of.kind ?? id;
  return {
    id,
    kind,
    group: of.group,
    versions: of.versions,
    plural: of.plural,
    singular: kind.toLowerCase(),
    shortNames: of.shortNames ?? [],
    categories: of.categories ?? [],
    namespaced: of.clusterScoped !== true,
    schema: struct({ ...required }, { apiVersion: text, kind: text, metadata: objectMeta, ...optional }, { definition: `${of.definitions}.${kind}` }),
    hasStatus: "status" in optional,
    hasScale: of.hasScale === true,
    builtIn: of.definitions.startsWith("io.k8s.api."),
  };
}

export const KINDS: { readonly [K in KindId]: KindInfo } = Object.fromEntries(
  Object.entries(described).map(([id, description]) => [id, kindInfo(id as KindId, description)]),
) as { [K in KindId]: KindInfo };

export const kindIds = Object.keys(KINDS) as readonly KindId[];

const byKind = new Map(Object.values(KINDS).map((info) => [`${info.group}/${info.kind}`, info]));
const byPlural = new Map(Object.values(KINDS).map((info) => [`${info.group}/${info.plural}`, info]));

export function splitApiVersion(apiVersion: string): { readonly group: string; readonly version: string } {
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? { group: "", version: apiVersion } : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/** The kind that a manifest names; undefined when Weft does not know it, or not in that version. */
export function findKind(apiVersion: string, kind: string): KindInfo | undefined {
  const { group, version } = splitApiVersion(apiVersion);
  const info = byKind.get(`${group}/${kind}`);
  return info?.versions.includes(version) === true ? info : undefined;
}

export function findResource(group: string, plural: string): KindInfo | undefined {
  return byPlural.get(`${group}/${plural}`);
}

/** "apps/v1": the version in which objects are stored. */
export function storedApiVersion(info: KindInfo): string {
  const version = info.versions[0] ?? "v1";
  return info.group === "" ? version : `${info.group}/${version}`;
}
