/** Gives Services their cluster addresses and node ports. Runs in the turn that stores the Service, so nothing is given twice. */
import { contains, formatIp, nthAddress, cidrSize, parseCidr, parseIp, type Cidr } from "#lib/ip.ts";
import type { Service, ServicePort } from "#model/core.ts";
import type { KubeObject } from "#model/object.ts";
import { invalid, type Problem } from "#model/problem.ts";
import type { Store } from "./store.ts";

/** Kubernetes' default --service-node-port-range. */
const FIRST_NODE_PORT = 30000;
const LAST_NODE_PORT = 32767;
/** The first addresses stay free for those that ask for one (kubernetes .1, DNS .10), as Kubernetes keeps a static band. */
const STATIC_BAND = 256n;

export interface ServiceAllocator {
  allocate(object: KubeObject, old: KubeObject | undefined): KubeObject | readonly Problem[];
}

export function serviceAllocator(store: Store, serviceCidr: string): ServiceAllocator {
  const range = parseCidr(serviceCidr);
  if (range === undefined) throw new Error(`service address range ${JSON.stringify(serviceCidr)} is no CIDR`);
  return {
    allocate(object, old) {
      return object.kind === "Service" && object.apiVersion === "v1" ? allocate(object as Service, old as Service | undefined, { store, range }) : object;
    },
  };
}

interface Pool {
  readonly store: Store;
  readonly range: Cidr;
}

function allocate(given: Service, old: Service | undefined, pool: Pool): Service | readonly Problem[] {
  if (given.spec === undefined) return given;
  const service = withoutOldType(given, old);
  if (service.spec.type === "ExternalName") return withoutAddresses(service, old);
  if (service.spec.ipFamilyPolicy === "RequireDualStack" || (service.spec.ipFamilies ?? []).length > 1) {
    return [invalid("spec.ipFamilyPolicy", service.spec.ipFamilyPolicy ?? null, "this cluster is not configured for dual-stack services")];
  }
  const others = ([...pool.store.all("Service")] as Service[]).filter((other) => other.metadata.uid !== service.metadata.uid);
  const address = clusterIp(service, old, others, pool.range);
  if (typeof address !== "string") return [address];
  const ports = nodePorts(service, old, others);
  if (!isPorts(ports)) return ports;
  const isIpv6 = address.includes(":");
  return {
    ...service,
    spec: {
      ...service.spec,
      clusterIP: address,
      clusterIPs: [address],
      ...(service.spec.ports === undefined ? {} : { ports }),
      ipFamilies: service.spec.ipFamilies ?? [isIpv6 ? "IPv6" : "IPv4"],
      ipFamilyPolicy: service.spec.ipFamilyPolicy ?? "SingleStack",
    },
  };
}

/** What only the old type has goes with it; what its author asks for anew is refused by validation. */
function withoutOldType(service: Service, old: Service | undefined): Service {
  const { type } = service.spec;
  if (old === undefined || old.spec.type === type || type === "LoadBalancer") return service;
  const fields = [
    ...(["allocateLoadBalancerNodePorts", "loadBalancerClass", "loadBalancerSourceRanges", "healthCheckNodePort"] as const),
    ...(type === "NodePort" ? [] : (["externalTrafficPolicy"] as const)),
    ...(type === "ExternalName" ? (["internalTrafficPolicy"] as const) : []),
  ];
  const gone = fields.filter((field) => JSON.stringify(service.spec[field]) === JSON.stringify(old.spec[field]));
  return { ...service, spec: Object.fromEntries(Object.entries(service.spec).filter(([field]) => !gone.some((each) => each === field))) };
}

function withoutAddresses(service: Service, old: Service | undefined): Service {
  const { clusterIP = "", clusterIPs: _all, ipFamilies: _families, ipFamilyPolicy: _policy, ports, ...spec } = service.spec;
  const kept = clusterIP === "" || clusterIP === old?.spec.clusterIP ? {} : { clusterIP };
  return { ...service, spec: { ...spec, ...kept, ...(ports === undefined ? {} : { ports: ports.map((port) => withoutOldNodePort(port, old)) }) } };
}

function withoutOldNodePort({ nodePort, ...port }: ServicePort, old: Service | undefined): ServicePort {
  return nodePort === undefined || isOld(nodePort, old) ? port : { ...port, nodePort };
}

function clusterIp(service: Service, old: Service | undefined, others: readonly Service[], range: Cidr): string | Problem {
  const asked = service.spec.clusterIP ?? service.spec.clusterIPs?.[0] ?? "";
  const kept = asked === "" && old?.spec.type !== "ExternalName" ? (old?.spec.clusterIP ?? "") : asked;
  if (kept === "None") return kept;
  const taken = new Set(others.map((other) => other.spec.clusterIP));
  if (kept !== "") {
    const ip = parseIp(kept);
    const failed = (why: string) => invalid("spec.clusterIPs", [kept], `failed to allocate IP ${kept}: ${why}`);
    if (ip === undefined) return invalid("spec.clusterIPs[0]", kept, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    if (!contains(range, ip)) return failed(`the provided network does not match the current range`);
    return taken.has(kept) ? failed("provided IP is already allocated") : kept;
  }
  const size = cidrSize(range);
  const band = size > STATIC_BAND * 2n ? STATIC_BAND : 1n;
  // A hash of the name to start with: a Service that is made again gets its address again, when it is free.
  const start = hash(`${service.metadata.namespace ?? ""}/${service.metadata.name}`);
  for (let step = 0n; step < size - band - 1n; step++) {
    const ip = nthAddress(range, band + ((start + step) % (size - band - 1n)));
    const text = ip === undefined ? "" : formatIp(ip);
    if (text !== "" && !taken.has(text)) return text;
  }
  return invalid("spec.clusterIPs", [], "failed to allocate IP: range is full");
}

/** FNV-1a, 32 bits. */
function hash(text: string): bigint {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return BigInt(value);
}

function isPorts(value: readonly ServicePort[] | readonly Problem[]): value is readonly ServicePort[] {
  return value.every((each) => "port" in each);
}

function nodePorts(service: Service, old: Service | undefined, others: readonly Service[]): readonly ServicePort[] | readonly Problem[] {
  const { type, ports = [], allocateLoadBalancerNodePorts } = service.spec;
  const wanted = type === "NodePort" || type === "LoadBalancer";
  if (!wanted) return ports.map((port) => withoutOldNodePort(port, old));
  const keyOf = (number: number, port: ServicePort) => `${number}/${port.protocol ?? "TCP"}`;
  const taken = new Set(
    others.flatMap((other) => (other.spec.ports ?? []).flatMap((port) => (port.nodePort === undefined ? [] : [keyOf(port.nodePort, port)]))),
  );
  const problems: Problem[] = [];
  const asked = new Set(ports.flatMap((port) => ((port.nodePort ?? 0) === 0 ? [] : [keyOf(port.nodePort ?? 0, port)])));
  const result = ports.map((port, index) => {
    const where = `spec.ports[${index}].nodePort`;
    const given = port.nodePort ?? 0;
    if (given !== 0) {
      if (given < FIRST_NODE_PORT || given > LAST_NODE_PORT) {
        problems.push(invalid(where, given, `provided port is not in the valid range. The range of valid ports is ${FIRST_NODE_PORT}-${LAST_NODE_PORT}`));
      } else if (taken.has(keyOf(given, port))) problems.push(invalid(where, given, "provided port is already allocated"));
      return port;
    }
    const before = (old?.spec.ports ?? []).find((each) => each.port === port.port && each.protocol === port.protocol)?.nodePort;
    if (type === "LoadBalancer" && allocateLoadBalancerNodePorts === false && before === undefined) return port;
    const free =
      before !== undefined && !asked.has(keyOf(before, port))
        ? before
        : freePort(
            `${service.metadata.namespace ?? ""}/${service.metadata.name}/${port.name ?? ""}`,
            (number) => taken.has(keyOf(number, port)) || asked.has(keyOf(number, port)),
          );
    if (free === undefined) problems.push(invalid(where, 0, "failed to allocate a nodePort: range is full"));
    else asked.add(keyOf(free, port));
    return { ...port, ...(free === undefined ? {} : { nodePort: free }) };
  });
  return problems.length > 0 ? problems : result;
}

/** A Service that becomes a ClusterIP gives back what it had; a port that the user asks for anew is refused by validation. */
function isOld(nodePort: number, old: Service | undefined): boolean {
  return (old?.spec.ports ?? []).some((port) => port.nodePort === nodePort);
}

function freePort(name: string, isTaken: (port: number) => boolean): number | undefined {
  const count = LAST_NODE_PORT - FIRST_NODE_PORT + 1;
  const start = Number(hash(name) % BigInt(count));
  for (let step = 0; step < count; step++) {
    const port = FIRST_NODE_PORT + ((start + step) % count);
    if (!isTaken(port)) return port;
  }
  return undefined;
}
