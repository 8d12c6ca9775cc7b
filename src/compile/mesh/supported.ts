/** Which fields of mesh kinds are in force. What a resource sets beyond these is named on its status, never ignored in silence. */

/** A field is supported as a whole, by parts, for every key of a map, or when its value satisfies a test. */
export type Supported = true | { readonly [field: string]: Supported } | ((value: unknown) => boolean);

const oneOf =
  (...values: readonly string[]) =>
  (value: unknown): boolean =>
    typeof value === "string" && values.includes(value);

/** Of several certificates only the first is shown. */
const onlyFirst = (value: unknown): boolean => Array.isArray(value) && value.length <= 1;

const exportTo = oneOf("*");

export const virtualServiceFields: Supported = {
  hosts: true,
  gateways: true,
  exportTo,
  http: {
    name: true,
    match: true,
    route: { destination: true, weight: true },
    timeout: true,
    headers: true,
    rewrite: { uri: true, authority: true },
    redirect: { uri: true, authority: true, port: true, scheme: true, redirectCode: true, prefixRewrite: true },
    directResponse: { status: true, body: { string: true } },
  },
};

const trafficPolicyParts = {
  loadBalancer: { simple: oneOf("ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "UNSPECIFIED") },
  tls: { mode: oneOf("ISTIO_MUTUAL", "DISABLE") },
};
const trafficPolicy: Supported = { ...trafficPolicyParts, portLevelSettings: { ...trafficPolicyParts, port: true } };

export const destinationRuleFields: Supported = { host: true, trafficPolicy, subsets: { name: true, labels: true, trafficPolicy }, exportTo };

export const istioGatewayFields: Supported = {
  selector: true,
  servers: {
    name: true,
    hosts: true,
    port: { number: true, name: true, protocol: oneOf("HTTP", "http", "HTTPS", "https") },
    tls: { httpsRedirect: true, mode: oneOf("SIMPLE"), credentialName: true },
  },
};

export const gatewayFields: Supported = {
  gatewayClassName: true,
  addresses: { type: oneOf("IPAddress", "Hostname"), value: true },
  listeners: {
    name: true,
    port: true,
    hostname: true,
    protocol: oneOf("HTTP", "HTTPS"),
    allowedRoutes: true,
    tls: { mode: oneOf("Terminate"), certificateRefs: onlyFirst },
  },
};

export const httpRouteFields: Supported = {
  parentRefs: true,
  hostnames: true,
  rules: {
    name: true,
    matches: true,
    timeouts: true,
    filters: { type: true, requestHeaderModifier: true, responseHeaderModifier: true, requestRedirect: true, urlRewrite: true },
    backendRefs: {
      group: true,
      kind: true,
      namespace: true,
      name: true,
      port: true,
      weight: true,
      filters: { type: true, requestHeaderModifier: true, responseHeaderModifier: true },
    },
  },
};

/** Paths of what is set and not supported: `spec.http[2].corsPolicy`. */
export function unsupportedFields(value: unknown, supported: Supported, path: string): readonly string[] {
  if (supported === true || isEmpty(value)) return [];
  if (supported === onlyFirst) return onlyFirst(value) ? [] : [`${path}[1]`];
  if (Array.isArray(value)) return value.flatMap((item, i) => unsupportedFields(item, supported, `${path}[${i}]`));
  if (typeof supported === "function") return supported(value) ? [] : [path];
  if (typeof value !== "object" || value === null) return [path];
  return Object.entries(value).flatMap(([field, inner]: [string, unknown]) => {
    const known = supported[field];
    const innerPath = `${path}.${field}`;
    if (known !== undefined) return unsupportedFields(inner, known, innerPath);
    return isEmpty(inner) ? [] : [innerPath];
  });
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
