/** What a node's compilers know of their own node, apart from the rest of its object, which changes with every heartbeat. */
import { placeOf } from "#compile/routes/routes.ts";
import { formatIp, parseIp } from "#lib/ip.ts";
import type { WorldReader } from "#model/world.ts";
import { ZONE_LABEL } from "./kept.ts";

export interface NodeSelf {
  readonly name: string;
  /** IPv4, in order, each once: of its object, and its own in the pod network. Loopback is not among them. */
  readonly addresses: readonly string[];
  readonly zone: string | undefined;
}

export function selfOf(reader: Pick<WorldReader, "get">, name: string): NodeSelf {
  const node = reader.get("Node", name);
  if (node === undefined) return { name, addresses: [], zone: undefined };
  const told = (node.status?.addresses ?? []).flatMap(({ type, address }) => {
    const ip = type === "InternalIP" || type === "ExternalIP" ? parseIp(address) : undefined;
    return ip?.family === 4 ? [formatIp(ip)] : [];
  });
  const gateway = placeOf(node)?.gateway;
  return {
    name,
    addresses: [...new Set([...told, ...(gateway === undefined ? [] : [gateway])])],
    zone: node.metadata.labels?.[ZONE_LABEL],
  };
}
