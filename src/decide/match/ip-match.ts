/** envoy.config.core.v3.CidrRange */
import { type Cidr, contains, type Ip, ipBits, network, parseIp } from "#lib/ip.ts";
import type { CidrRange } from "#wire/envoy/gen/envoy/config/core/v3/address_pb.ts";
import { ConfigProblem } from "#decide/config-problem.ts";

export function compileRange(range: CidrRange, path: string): Cidr {
  const ip = parseIp(range.addressPrefix);
  if (ip === undefined) throw new ConfigProblem(`${path}.address_prefix`, `"${range.addressPrefix}" is not an IP address`);
  const prefix = range.prefixLen ?? 0;
  if (prefix > ipBits(ip.family)) throw new ConfigProblem(`${path}.prefix_len`, `${prefix} is more than the ${ipBits(ip.family)} bits of the address`);
  return network(ip, prefix);
}

export function isWithin(range: Cidr, ip: Ip | undefined): boolean {
  return ip !== undefined && contains(range, ip);
}
