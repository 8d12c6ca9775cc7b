/** Names of services as resources write them, and how names cover each other. */
import { clusterDomain } from "./settings.ts";

export function serviceHost(namespace: string, name: string): string {
  return `${name}.${namespace}.svc.${clusterDomain}`;
}

/** Istio's rule: a name without a dot is a service in the namespace of the object that names it; others stand as written. */
export function resolveHost(host: string, namespace: string): string {
  return host.includes(".") || host === "*" ? host.toLowerCase() : serviceHost(namespace, host.toLowerCase());
}

/** The service that a full host names. */
export function parseServiceHost(host: string): { readonly namespace: string; readonly name: string } | undefined {
  const suffix = `.svc.${clusterDomain}`;
  if (!host.endsWith(suffix)) return undefined;
  const [name, namespace, ...rest] = host.slice(0, -suffix.length).split(".");
  if (name === undefined || namespace === undefined || rest.length > 0 || name === "*") return undefined;
  return { namespace, name };
}

/** Whether the pattern ("*", "*.example.org" or a plain name) covers the name, which may be a pattern too. */
export function covers(pattern: string, name: string): boolean {
  if (pattern === "*" || pattern === name) return true;
  return pattern.startsWith("*.") && name.length > pattern.length - 1 && name.endsWith(pattern.slice(1));
}

/** What both patterns cover: the narrower one; undefined when nothing. */
export function intersectHosts(a: string, b: string): string | undefined {
  if (covers(a, b)) return b;
  return covers(b, a) ? a : undefined;
}

/** Plain names before wildcards, longer wildcards before shorter ones. */
export function bySpecificity(a: string, b: string): number {
  const wild = Number(a.startsWith("*")) - Number(b.startsWith("*"));
  return wild !== 0 ? wild : b.length - a.length;
}

/**
 * All names by which a client in `clientNamespace` may call a service: short ones only where its DNS search list would
 * find this very service.
 */
export function namesOfService(host: string, clientNamespace: string): readonly string[] {
  const service = parseServiceHost(host);
  if (service === undefined) return [host];
  const { name, namespace } = service;
  const local = namespace === clientNamespace ? [name] : [];
  return [host, ...local, `${name}.${namespace}`, `${name}.${namespace}.svc`];
}
