/** What our own API server refuses a foreign one refuses as well, at once and in the same words: definitions say it in CEL. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stringify } from "yaml";
import { admitManifests, parseManifests } from "#model/manifests.ts";
import type { Running } from "./shared-tests.ts";

interface Case {
  readonly apiVersion: string;
  readonly kind: string;
  readonly spec: object;
  /** Absent: both take it. */
  readonly says?: string;
}

const ISTIO = "networking.istio.io/v1";
const SECURITY = "security.istio.io/v1";
const GATEWAY = "gateway.networking.k8s.io/v1";
const listener = (more: object) => ({ name: "a", port: 80, protocol: "HTTP", ...more });
const gateway = (...listeners: readonly object[]) => ({ apiVersion: GATEWAY, kind: "Gateway", spec: { gatewayClassName: "weft", listeners } });
const route = (rule: object) => ({ apiVersion: GATEWAY, kind: "HTTPRoute", spec: { rules: [rule] } });
const policy = (spec: object) => ({ apiVersion: SECURITY, kind: "AuthorizationPolicy", spec });
const hash = (consistentHash: object) => ({
  apiVersion: ISTIO,
  kind: "DestinationRule",
  spec: { host: "reviews", trafficPolicy: { loadBalancer: { consistentHash } } },
});

const cases: readonly Case[] = [
  gateway(listener({})),
  { ...gateway(listener({ tls: { certificateRefs: [{ name: "x" }] } })), says: "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']" },
  { ...gateway(listener({ protocol: "HTTPS", tls: {} })), says: "certificateRefs or options must be specified when mode is Terminate" },
  {
    ...gateway(listener({ protocol: "HTTPS", tls: { mode: "Passthrough" } })),
    says: "tls mode must be Terminate for protocol HTTPS",
  },
  { ...gateway(listener({ protocol: "TCP", hostname: "a.example.org" })), says: "hostname must not be specified for protocols ['TCP', 'UDP']" },
  { ...gateway(listener({}), listener({ name: "b" })), says: "Combination of port, protocol and hostname must be unique for each listener" },
  route({ backendRefs: [{ name: "web", port: 80 }], timeouts: { request: "10s", backendRequest: "2s" } }),
  { ...route({ backendRefs: [{ name: "web" }] }), says: "Must have port for Service reference" },
  { ...route({ timeouts: { request: "1s", backendRequest: "2s" } }), says: "backendRequest timeout cannot be longer than request timeout" },
  { ...route({ filters: [{ type: "RequestRedirect" }] }), says: "filter.requestRedirect must be specified for RequestRedirect filter.type" },
  {
    ...route({ filters: [{ type: "RequestRedirect", requestRedirect: {} }], backendRefs: [{ name: "web", port: 80 }] }),
    says: "RequestRedirect filter must not be used together with backendRefs",
  },
  {
    ...route({ filters: [{ type: "URLRewrite", urlRewrite: { path: { type: "ReplaceFullPath" } } }] }),
    says: "replaceFullPath must be specified when type is set to 'ReplaceFullPath'",
  },
  policy({ rules: [{ from: [{ source: { principals: ["a"] } }] }] }),
  { ...policy({ selector: { matchLabels: { app: "a*" } } }), says: "wildcard not allowed in label value match" },
  {
    ...policy({ selector: { matchLabels: { app: "a" } }, targetRefs: [{ kind: "Service", name: "a" }] }),
    says: "only one of targetRefs or selector can be set",
  },
  {
    ...policy({ rules: [{ from: [{ source: { principals: ["a"], serviceAccounts: ["b"] } }] }] }),
    says: "Cannot set serviceAccounts with namespaces or principals",
  },
  { apiVersion: SECURITY, kind: "PeerAuthentication", spec: { selector: { matchLabels: { app: "a" } }, portLevelMtls: { "80": { mode: "STRICT" } } } },
  { apiVersion: SECURITY, kind: "PeerAuthentication", spec: { portLevelMtls: { "80": { mode: "STRICT" } } }, says: "portLevelMtls requires selector" },
  {
    apiVersion: SECURITY,
    kind: "PeerAuthentication",
    spec: { selector: { matchLabels: { app: "a" } }, portLevelMtls: { "0": { mode: "STRICT" } } },
    says: "port must be between 1-65535",
  },
  hash({ useSourceIp: true }),
];

export function definitionsRefuse(cluster: Running): void {
  test("what our own API server refuses this one refuses as well, in the same words", async () => {
    for (const [i, { says, ...object }] of cases.entries()) {
      const yaml = stringify({ ...object, metadata: { name: `case-${i}`, namespace: "default" } });
      const ours = admitManifests(parseManifests("case", yaml))
        .problems.map(({ message }) => message)
        .join("; ");
      const { code, stderr } = await cluster().run(["kubectl", "create", "--dry-run=server", "-f", "-"], { input: yaml });
      if (says === undefined) assert.deepEqual([ours, code], ["", 0], `${yaml}${stderr}`);
      else for (const words of [ours, stderr]) assert.ok(words.includes(says), `${words}: ${yaml}`);
    }
  });
}
