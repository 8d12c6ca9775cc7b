/**
 * What Gateway API's suite said of each test, and the table that people read beside its reports. The words of the run count, not the
 * report: the suite writes that while tests that run beside others are still at work, and counts them as passed.
 */
import { meshFeatures, gatewayFeatures } from "#compile/status/supported-features.ts";

export const PROFILES = {
  "GATEWAY-HTTP": { file: "gateway-api-gateway-http.yaml", features: gatewayFeatures, labels: "" },
  "MESH-HTTP": { file: "gateway-api-mesh-http.yaml", features: meshFeatures, labels: "istio-injection=enabled" },
} as const;
export type Profile = keyof typeof PROFILES;
const profiles = Object.keys(PROFILES) as readonly Profile[];

export interface TestResult {
  readonly name: string;
  readonly state: "passed" | "failed" | "skipped";
  readonly seconds: number;
  /** Parts of it that failed. */
  readonly failedParts: readonly string[];
  /** The feature for want of which it was skipped. */
  readonly feature?: string;
}

/** From `-test.v`. */
export function resultsIn(output: string): readonly TestResult[] {
  const features = new Map([...output.matchAll(/Skipping (\S+): suite does not support (\S+)/g)].map(([, name = "", feature = ""]) => [name, feature]));
  const failedParts = Map.groupBy([...output.matchAll(/^ {8}--- FAIL: TestConformance\/([^/\s]+)\/(.*) \([0-9.]+s\)$/gm)], ([, name]) => name ?? "");
  const states = { PASS: "passed", FAIL: "failed", SKIP: "skipped" } as const;
  return [...output.matchAll(/^ {4}--- (PASS|FAIL|SKIP): TestConformance\/([^/\s]+) \(([0-9.]+)s\)$/gm)].map(([, word = "FAIL", name = "", seconds]) => {
    const feature = features.get(name);
    return {
      name,
      state: states[word as keyof typeof states],
      seconds: Number(seconds),
      failedParts: (failedParts.get(name) ?? []).map(([, , part = ""]) => part.replaceAll("_", " ")),
      ...(feature === undefined ? {} : { feature }),
    };
  });
}

/** Why Weft does not have what tests were skipped for. */
const missing: Readonly<Record<string, string>> = {
  BackendTLSPolicy: "no such kind yet: a gateway speaks plain HTTP, or the mesh's own TLS, to backends",
  GatewayBackendClientCertificate: "spec.tls.backend is not honoured; its status says so",
  GatewayFrontendClientCertificateValidation: "spec.tls.frontend is not honoured; its status says so",
  GatewayHTTPSListenerDetectMisdirectedRequests: "it is about connections of HTTP/2, which carry requests for several hosts; the data path is HTTP/1.1",
  GatewayInfrastructurePropagation: "the pods of all Gateways are the ingress gateway's; spec.infrastructure has no place there",
  GRPCRoute: "no such kind yet: the data path is HTTP/1.1",
  HTTPRouteBackendProtocolH2C: "the data path is HTTP/1.1",
  HTTPRouteCORS: "no such filter yet; the route's status says so",
  HTTPRouteRequestMirror: "no such filter yet; the route's status says so",
  HTTPRouteRequestPercentageMirror: "no such filter yet; the route's status says so",
  HTTPRouteRetry: "not in the standard channel's HTTPRoute as Weft has it",
  ListenerSet: "no such kind yet",
  MeshClusterIPMatching:
    "a sidecar finds the service by the request's Host, as Istio's do, not by the address that the client chose; with both, connections that are open would lose their route when a Service's first HTTPRoute comes",
  TCPRoute: "no such kind yet",
  TLSRoute: "no such kind yet",
  UDPRoute: "no such kind yet",
};

/** Of the other kind of client: the other run has them. */
const OTHERS: { readonly [P in Profile]: string } = { "GATEWAY-HTTP": "Mesh", "MESH-HTTP": "Gateway" };

export function tableOf(runs: Readonly<Record<Profile, readonly TestResult[]>>): string {
  return `${[HEAD, ...profiles.map((profile) => sectionOf(profile, runs[profile]))].join("\n\n")}\n`;
}

const HEAD = `# Gateway API's conformance suite

Written by \`npm run conformance -- gateway-api\` from the suite's own words; not by hand. Gateway API v1.6.1, a real Kubernetes with two
nodes, profile \`full\`. The suite's reports stand beside this, unedited; it calls version and channel UNDEFINED, because the definitions
that Weft installs are emitted from its own types and do not pass for upstream's. Each profile is a run of its own: in that of gateways
backends have no proxy, in that of the mesh all pods have one. The mesh tests' echo server is one of ours (\`tools/conformance/echo-advanced\`),
since nobody has that image here, and the name server of UDP tests is one that does nothing.

What Weft claims beyond the core is \`src/compile/status/supported-features.ts\`, and on each GatewayClass in \`status.supportedFeatures\`.`;

function sectionOf(profile: Profile, results: readonly TestResult[]): string {
  const ran = results.filter(({ state }) => state !== "skipped");
  const skipped = results.filter(({ state, feature }) => state === "skipped" && feature !== OTHERS[profile]);
  const failed = ran.filter(({ state }) => state === "failed");
  const { file } = PROFILES[profile];
  const rows = ran.map(({ name, state, seconds, failedParts }) => `| ${name} | ${state} | ${seconds} | ${failedParts.map(cell).join("; ")} |`);
  const byFeature = [...Map.groupBy(skipped, ({ feature = "" }) => feature)].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    `## ${profile}`,
    `${ran.length} tests ran: ${ran.length - failed.length} passed, ${failed.length} failed. Report: [${file}](${file}).`,
    ["| test | result | seconds | what failed |", "| --- | --- | --- | --- |", ...rows].join("\n"),
    "Not asked, for want of a feature:",
    [
      "| feature | tests | why |",
      "| --- | --- | --- |",
      ...byFeature.map(([feature, tests]) => `| ${feature} | ${tests.length} | ${missing[feature] ?? "not claimed"} |`),
    ].join("\n"),
  ].join("\n\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}
