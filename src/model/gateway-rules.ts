/** What Gateway API demands of a Gateway across fields (upstream writes it in CEL; the messages are upstream's). */
import { parseIp } from "#lib/ip.ts";
import { alsoInCel, type RuleBreach } from "./schema.ts";

const broken = (message: string, field = ""): RuleBreach => ({ field, message });

interface Listener {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly hostname?: string;
  readonly tls?: { readonly mode?: string };
}

export const listenerRules = alsoInCel(
  (listeners: readonly Listener[]): RuleBreach | undefined => {
    const seen = new Set<string>();
    for (const { protocol, port, hostname, tls } of listeners) {
      if (["HTTP", "TCP", "UDP"].includes(protocol) && tls !== undefined) return broken("tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']");
      if (protocol === "HTTPS" && tls !== undefined && (tls.mode ?? "Terminate") !== "Terminate")
        return broken("tls mode must be Terminate for protocol HTTPS");
      if (protocol === "TLS" && (tls?.mode ?? "") === "") return broken("tls mode must be set for protocol TLS");
      if (["TCP", "UDP"].includes(protocol) && (hostname ?? "") !== "") return broken("hostname must not be specified for protocols ['TCP', 'UDP']");
      const key = JSON.stringify([port, protocol, hostname]);
      if (seen.has(key)) return broken("Combination of port, protocol and hostname must be unique for each listener");
      seen.add(key);
    }
    return undefined;
  },
  ["self.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)", "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']"],
  ["self.all(l, l.protocol == 'HTTPS' && has(l.tls) ? !has(l.tls.mode) || l.tls.mode == 'Terminate' : true)", "tls mode must be Terminate for protocol HTTPS"],
  ["self.all(l, l.protocol == 'TLS' ? has(l.tls) && has(l.tls.mode) && l.tls.mode != '' : true)", "tls mode must be set for protocol TLS"],
  ["self.all(l, l.protocol in ['TCP', 'UDP'] ? !has(l.hostname) || l.hostname == '' : true)", "hostname must not be specified for protocols ['TCP', 'UDP']"],
  [
    "self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol && (has(a.hostname) ? has(b.hostname) && a.hostname == b.hostname : !has(b.hostname))))",
    "Combination of port, protocol and hostname must be unique for each listener",
  ],
);

export const terminateNeedsCertificate = alsoInCel(
  (tls: { readonly mode?: string; readonly certificateRefs?: readonly unknown[]; readonly options?: object }): RuleBreach | undefined => {
    if ((tls.mode ?? "Terminate") !== "Terminate") return undefined;
    if ((tls.certificateRefs ?? []).length > 0 || Object.keys(tls.options ?? {}).length > 0) return undefined;
    return broken("certificateRefs or options must be specified when mode is Terminate");
  },
  [
    "has(self.mode) && self.mode != 'Terminate' || has(self.certificateRefs) && size(self.certificateRefs) > 0 || has(self.options) && size(self.options) > 0",
    "certificateRefs or options must be specified when mode is Terminate",
  ],
);

const hostnamePattern = /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

interface Address {
  readonly type?: string;
  readonly value?: string;
}

export function addressFitsType({ type = "IPAddress", value }: Address): RuleBreach | undefined {
  if (value === undefined) return undefined;
  if (type === "IPAddress") {
    return parseIp(value) === undefined ? { field: "value", value, message: "must be an IPv4 or IPv6 address when type is IPAddress" } : undefined;
  }
  if (type !== "Hostname" || value === "" || hostnamePattern.test(value)) return undefined;
  return broken(`Hostname value must be empty or contain only valid characters (matching ${hostnamePattern.source})`);
}

export function differentAddresses(addresses: readonly Address[]): RuleBreach | undefined {
  for (const type of ["IPAddress", "Hostname"]) {
    const values = addresses.filter((address) => address.type === type && address.value !== undefined).map(({ value }) => value);
    if (new Set(values).size < values.length) return broken(`${type} values must be unique`);
  }
  return undefined;
}

export function keysAreQualified(what: "Label" | "Annotation") {
  return (map: Readonly<Record<string, string>>): RuleBreach | undefined => {
    const keys = Object.keys(map);
    if (!keys.every((key) => /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$/.test(key))) {
      return broken(`${what} keys must be in the form of an optional DNS subdomain prefix followed by a required name segment of up to 63 characters.`);
    }
    if (keys.every((key) => (key.split("/")[0] ?? "").length < 253)) return undefined;
    return broken(`If specified, the ${what.toLowerCase()} key's prefix must be a DNS subdomain not longer than 253 characters in total.`);
  };
}

export const portsDiffer = alsoInCel(
  (items: readonly { readonly port: number }[]): RuleBreach | undefined => {
    return new Set(items.map(({ port }) => port)).size < items.length ? broken("Port for TLS configuration must be unique within the Gateway") : undefined;
  },
  ["self.all(a, self.exists_one(b, a.port == b.port))", "Port for TLS configuration must be unique within the Gateway"],
);
