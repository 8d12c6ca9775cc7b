/** RTM_*ROUTE (rtnetlink(7), linux/rtnetlink.h): unicast routes of all tables but the kernel's own `local`. */
import { formatCidr, ipBytes, ipFromBytes, parseCidr } from "#lib/ip.ts";
import { AF_INET, AF_INET6, familyOf, ipTextOf, requireIp } from "./address.ts";
import { AttributeWriter, readAttributes, u32Of } from "./bytes.ts";
import { NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE } from "./message.ts";
import type { NetlinkRequest } from "./message.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_TABLE = 15;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTPROT_STATIC = 4;
const RT_TABLE_MAIN = 254;
const RT_TABLE_LOCAL = 255;
const RTNH_F_ONLINK = 4;
const SCOPES = { global: 0, link: 253, host: 254 } as const;
const RT_SCOPE_NOWHERE = 255;

export interface RouteMessage {
  /** "0.0.0.0/0" is the default. */
  readonly destination: string;
  readonly gateway: string | undefined;
  readonly linkIndex: number | undefined;
  readonly source: string | undefined;
  readonly scope: keyof typeof SCOPES | undefined;
  readonly onlink: boolean;
  /** Default: main. */
  readonly table: number | undefined;
  readonly metric: number | undefined;
  /** A local route (`ip route add local`), for TPROXY. */
  readonly isLocal?: boolean;
}

export function getRoutes(family: "ip" | "ip6"): NetlinkRequest {
  const payload = Buffer.alloc(12);
  payload.writeUInt8(family === "ip" ? AF_INET : AF_INET6, 0);
  return { type: RTM_GETROUTE, flags: NLM_F_DUMP, payload };
}

/** Replaces a route to the same destination with the same metric. */
export function newRoute(route: RouteMessage): NetlinkRequest {
  return { type: RTM_NEWROUTE, flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, payload: payloadOf(route, RTPROT_STATIC, route.scope ?? scopeOf(route)) };
}

export function deleteRoute(route: RouteMessage): NetlinkRequest {
  // Protocol 0 and scope "nowhere" match any.
  return { type: RTM_DELROUTE, flags: NLM_F_ACK, payload: payloadOf(route, 0, route.scope) };
}

/** As ip(8) chooses: what needs no gateway is on the link. */
function scopeOf(route: RouteMessage): keyof typeof SCOPES {
  if (route.isLocal === true) return "host";
  return route.gateway === undefined && !route.destination.includes(":") ? "link" : "global";
}

/** struct rtmsg: family, dst length, src length, tos, table, protocol, scope, type, flags. */
function payloadOf(route: RouteMessage, protocol: number, scope: keyof typeof SCOPES | undefined): Buffer {
  const destination = parseCidr(route.destination);
  if (destination === undefined) throw new Error(`route destination "${route.destination}" is not an address range such as 10.0.0.0/8`);
  const table = route.table ?? RT_TABLE_MAIN;
  const header = Buffer.alloc(12);
  header.writeUInt8(familyOf(destination.ip), 0);
  header.writeUInt8(destination.prefix, 1);
  header.writeUInt8(table < 256 ? table : 0, 4);
  header.writeUInt8(protocol, 5);
  header.writeUInt8(scope === undefined ? RT_SCOPE_NOWHERE : SCOPES[scope], 6);
  header.writeUInt8(route.isLocal === true ? RTN_LOCAL : RTN_UNICAST, 7);
  header.writeUInt32LE(route.onlink ? RTNH_F_ONLINK : 0, 8);
  const payload = new AttributeWriter().raw(header).u32(RTA_TABLE, table);
  if (destination.prefix > 0) payload.bytes(RTA_DST, ipBytes(destination.ip));
  if (route.gateway !== undefined) payload.bytes(RTA_GATEWAY, ipBytes(requireIp(route.gateway, "route gateway")));
  if (route.linkIndex !== undefined) payload.u32(RTA_OIF, route.linkIndex);
  if (route.source !== undefined) payload.bytes(RTA_PREFSRC, ipBytes(requireIp(route.source, "route source")));
  if (route.metric !== undefined) payload.u32(RTA_PRIORITY, route.metric);
  return payload.finish();
}

/** undefined: not a unicast route that somebody set. */
export function readRoute(type: number, payload: Buffer): RouteMessage | undefined {
  if (type !== RTM_NEWROUTE || payload.length < 12) return undefined;
  const attributes = readAttributes(payload.subarray(12));
  const table = u32Of(attributes.get(RTA_TABLE)) ?? payload.readUInt8(4);
  const kind = payload.readUInt8(7);
  if (table === RT_TABLE_LOCAL || (kind !== RTN_UNICAST && kind !== RTN_LOCAL)) return undefined;
  const isV4 = payload.readUInt8(0) === AF_INET;
  const ip = ipFromBytes(attributes.get(RTA_DST) ?? Buffer.alloc(isV4 ? 4 : 16));
  if (ip === undefined) return undefined;
  const scopeNumber = payload.readUInt8(6);
  const scope = (Object.keys(SCOPES) as (keyof typeof SCOPES)[]).find((name) => SCOPES[name] === scopeNumber);
  return {
    destination: formatCidr({ ip, prefix: payload.readUInt8(1) }),
    gateway: ipTextOf(attributes.get(RTA_GATEWAY)),
    linkIndex: u32Of(attributes.get(RTA_OIF)),
    source: ipTextOf(attributes.get(RTA_PREFSRC)),
    scope,
    onlink: (payload.readUInt32LE(8) & RTNH_F_ONLINK) !== 0,
    table,
    metric: u32Of(attributes.get(RTA_PRIORITY)),
    ...(kind === RTN_LOCAL ? { isLocal: true } : {}),
  };
}
