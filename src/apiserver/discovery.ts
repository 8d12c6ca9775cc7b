/** What the server has: /version, /api, /apis, their resource lists, and the aggregated form that kubectl asks for first. */
import { KINDS, type KindInfo } from "#model/kinds.ts";

/** Weft answers as this version of Kubernetes' API. */
export const VERSION = {
  major: "1",
  minor: "33",
  gitVersion: "v1.33.0+weft",
  gitCommit: "",
  gitTreeState: "clean",
  buildDate: "1970-01-01T00:00:00Z",
  goVersion: "",
  compiler: "",
  platform: "linux/amd64",
};

interface Resource {
  readonly name: string;
  readonly kind: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  /** Of what the resource speaks, when it is not the group's own. */
  readonly responseKind?: { readonly group: string; readonly version: string; readonly kind: string };
  readonly subresources: readonly Resource[];
}

const allVerbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const partVerbs = ["get", "patch", "update"];

function resourceOf(info: KindInfo): Resource {
  const sub = (name: string, verbs: readonly string[], more: Partial<Resource> = {}): Resource => ({
    name,
    kind: info.kind,
    singular: "",
    namespaced: info.namespaced,
    verbs,
    subresources: [],
    ...more,
  });
  const subresources: Resource[] = [];
  if (info.hasStatus) subresources.push(sub("status", partVerbs));
  if (info.hasScale) subresources.push(sub("scale", partVerbs, { kind: "Scale", responseKind: { group: "autoscaling", version: "v1", kind: "Scale" } }));
  if (info.id === "Pod") {
    subresources.push(
      sub("log", ["get"]),
      sub("exec", ["create", "get"], { kind: "PodExecOptions" }),
      sub("attach", ["create", "get"], { kind: "PodAttachOptions" }),
    );
    subresources.push(sub("binding", ["create"], { kind: "Binding" }));
  }
  if (info.id === "Node") subresources.push(sub("proxy", ["create", "delete", "get", "patch", "update"], { kind: "NodeProxyOptions" }));
  if (info.id === "Namespace") subresources.push(sub("finalize", ["update"]));
  const { plural: name, kind, singular, namespaced, shortNames, categories } = info;
  return { name, kind, singular, namespaced, verbs: allVerbs, shortNames, categories, subresources };
}

const reviews: readonly { readonly group: string; readonly resource: Resource }[] = [
  { group: "authorization.k8s.io", resource: review("selfsubjectaccessreviews", "SelfSubjectAccessReview") },
  { group: "authorization.k8s.io", resource: review("selfsubjectrulesreviews", "SelfSubjectRulesReview") },
  { group: "authentication.k8s.io", resource: review("selfsubjectreviews", "SelfSubjectReview") },
];

function review(name: string, kind: string): Resource {
  return { name, kind, singular: kind.toLowerCase(), namespaced: false, verbs: ["create"], subresources: [] };
}

interface Group {
  readonly name: string;
  readonly versions: readonly { readonly version: string; readonly resources: readonly Resource[] }[];
}

export const GROUPS: readonly Group[] = makeGroups();

function makeGroups(): readonly Group[] {
  const groups = new Map<string, Map<string, Resource[]>>();
  const add = (group: string, version: string, resource: Resource) => {
    const versions = groups.get(group) ?? new Map<string, Resource[]>();
    groups.set(group, versions);
    versions.set(version, [...(versions.get(version) ?? []), resource]);
  };
  for (const info of Object.values(KINDS)) for (const version of info.versions) add(info.group, version, resourceOf(info));
  for (const { group, resource } of reviews) add(group, "v1", resource);
  return [...groups].map(([name, versions]) => ({ name, versions: [...versions].map(([version, resources]) => ({ version, resources })) }));
}

/** undefined: this path is no discovery path. */
export function discover(path: string, accept: string, serverAddress: string): { readonly body: unknown; readonly contentType: string } | undefined {
  const plain = (body: unknown) => ({ body, contentType: "application/json" });
  const aggregated = /as=APIGroupDiscoveryList/.test(accept);
  const version = /apidiscovery\.k8s\.io;v=(v2beta1)|v=(v2beta1);g=apidiscovery/.test(accept) && !/v=v2[;,]|v=v2$/.test(accept) ? "v2beta1" : "v2";
  const parts = path.split("/").filter((part) => part !== "");
  if (path === "/version") return plain(VERSION);
  if (parts[0] === "api" && parts.length === 1) {
    if (aggregated)
      return aggregate(
        GROUPS.filter(({ name }) => name === ""),
        version,
      );
    return plain({ kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress }] });
  }
  const named = GROUPS.filter(({ name }) => name !== "");
  if (parts[0] === "apis" && parts.length === 1)
    return aggregated ? aggregate(named, version) : plain({ kind: "APIGroupList", apiVersion: "v1", groups: named.map(groupOf) });
  const [root, first, second] = parts;
  if (root === "api" && parts.length === 2) return resourceList("", first);
  if (root !== "apis" || parts.length > 3) return undefined;
  if (parts.length === 3) return resourceList(first, second);
  const group = named.find(({ name }) => name === first);
  return group === undefined ? undefined : plain({ kind: "APIGroup", apiVersion: "v1", ...groupOf(group) });
}

function groupOf({ name, versions }: Group) {
  const all = versions.map(({ version }) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: all, preferredVersion: all[0] };
}

function resourceList(group: string | undefined, version: string | undefined) {
  const found = GROUPS.find(({ name }) => name === group)?.versions.find((each) => each.version === version);
  if (found === undefined) return undefined;
  const flat = found.resources.flatMap((resource) => [resource, ...resource.subresources.map((sub) => ({ ...sub, name: `${resource.name}/${sub.name}` }))]);
  const resources = flat.map(({ name, singular, namespaced, kind, verbs, shortNames = [], categories = [], responseKind }) => ({
    name,
    singularName: singular,
    namespaced,
    kind,
    verbs,
    ...(shortNames.length > 0 ? { shortNames } : {}),
    ...(categories.length > 0 ? { categories } : {}),
    ...(responseKind === undefined ? {} : { group: responseKind.group, version: responseKind.version }),
  }));
  return {
    body: { kind: "APIResourceList", apiVersion: "v1", groupVersion: group === "" ? version : `${group}/${version}`, resources },
    contentType: "application/json",
  };
}

function aggregate(groups: readonly Group[], apiVersion: "v2" | "v2beta1") {
  const items = groups.map(({ name, versions }) => ({
    metadata: { name, creationTimestamp: null },
    versions: versions.map(({ version, resources }) => ({
      version,
      freshness: "Current",
      resources: resources.map((resource) => aggregatedResource(resource, name, version)),
    })),
  }));
  return {
    body: { kind: "APIGroupDiscoveryList", apiVersion: `apidiscovery.k8s.io/${apiVersion}`, metadata: {}, items },
    contentType: `application/json;g=apidiscovery.k8s.io;v=${apiVersion};as=APIGroupDiscoveryList`,
  };
}

function aggregatedResource(resource: Resource, group: string, version: string) {
  const { name, kind, singular, namespaced, verbs, shortNames = [], categories = [], subresources } = resource;
  return {
    resource: name,
    responseKind: { group, version, kind },
    scope: namespaced ? "Namespaced" : "Cluster",
    singularResource: singular,
    verbs,
    ...(shortNames.length > 0 ? { shortNames } : {}),
    ...(categories.length > 0 ? { categories } : {}),
    ...(subresources.length > 0
      ? {
          subresources: subresources.map((sub) => ({
            subresource: sub.name,
            responseKind: sub.responseKind ?? { group, version, kind: sub.kind },
            verbs: sub.verbs,
          })),
        }
      : {}),
  };
}
