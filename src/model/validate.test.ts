import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { decodeObject } from "./decode.ts";
import { withDefaults } from "./defaults.ts";
import { findKind } from "./kinds.ts";
import type { KubeObject } from "./object.ts";
import { formatProblem } from "./problem.ts";
import { admit, validate } from "./validate.ts";

type Raw = Readonly<Record<string, unknown>>;

function infoOf(raw: Raw) {
  const info = findKind(String(raw["apiVersion"]), String(raw["kind"]));
  assert.ok(info);
  return info;
}

function problemsOf(yaml: string): string[] {
  const raw = parse(yaml) as Raw;
  const { problems, unknown } = admit(infoOf(raw), raw);
  return [...problems.map(formatProblem), ...unknown.map((field) => `unknown field "${field}"`)];
}

const deployment = (labels: string, image = "a:1") => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: default}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: ${labels}}
    spec: {containers: [{name: a, image: ${image}, volumeMounts: [{name: v, mountPath: /x}]}], volumes: [{name: v, emptyDir: {}}]}`;
const service = (spec: string) => `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: default}, spec: ${spec}}`;
const virtualService = (http: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec: {hosts: [reviews], http: ${http}}`;

const cases: readonly { readonly name: string; readonly yaml: string; readonly want: readonly string[] }[] = [
  { name: "a complete Deployment is accepted", yaml: deployment("{app: a}"), want: [] },
  {
    name: "a Deployment whose selector misses its own pods is refused",
    yaml: deployment("{app: b}"),
    want: ['spec.template.metadata.labels: Invalid value: {"app":"b"}: `selector` does not match template `labels`'],
  },
  { name: "a container without an image is refused", yaml: deployment("{app: a}", '""'), want: ["spec.template.spec.containers[0].image: Required value"] },
  {
    name: "a mount of a volume that is not there is refused",
    yaml: deployment("{app: a}").replace("volumes: [{name: v", "volumes: [{name: w"),
    want: ['spec.template.spec.containers[0].volumeMounts[0].name: Not found: "v"'],
  },
  {
    name: "unknown fields are named with their path",
    yaml: deployment("{app: a}").replace("{name: a,", "{name: a, imagee: x,"),
    want: ['unknown field "spec.template.spec.containers[0].imagee"'],
  },
  { name: "a Service without ports is refused", yaml: service("{selector: {a: b}}"), want: ["spec.ports: Required value"] },
  { name: "a headless Service needs no ports", yaml: service("{clusterIP: None}"), want: [] },
  {
    name: "a port outside 1 to 65535 is refused",
    yaml: service("{ports: [{port: 70000, targetPort: 80}]}"),
    want: ["spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"],
  },
  {
    name: "several ports need names",
    yaml: service("{ports: [{port: 1}, {port: 2}]}"),
    want: ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
  },
  {
    name: "one port and protocol twice is a duplicate",
    yaml: service("{ports: [{port: 1, name: a}, {port: 1, name: b}]}"),
    want: ['spec.ports[1]: Duplicate value: {"port":1,"protocol":"TCP"}'],
  },
  {
    name: "an unknown Service type lists the known ones",
    yaml: service("{type: Lb, ports: [{port: 1}]}"),
    want: ['spec.type: Unsupported value: "Lb": supported values: "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"'],
  },
  {
    name: "a weight above 100 is refused",
    yaml: virtualService("[{route: [{destination: {host: a}}, {destination: {host: b}, weight: 101}]}]"),
    want: ["spec.http[0].route[1].weight: Invalid value: 101: must be between 0 and 100"],
  },
  {
    name: "a route without a destination is refused",
    yaml: virtualService("[{route: [{weight: 1}]}]"),
    want: ["spec.http[0].route[0].destination: Required value"],
  },
  {
    name: "an HTTP route that does nothing is refused",
    yaml: virtualService("[{match: [{uri: {exact: /}}]}]"),
    want: ["spec.http[0].route: Required value: HTTP route, redirect or direct_response is required"],
  },
  {
    name: "two kinds of string match at once are refused",
    yaml: virtualService("[{match: [{uri: {exact: /, prefix: /}}], route: [{destination: {host: a}}]}]"),
    want: ['spec.http[0].match[0].uri: Invalid value: "object": only one of exact, prefix can be set'],
  },
  {
    name: "a timeout that is no duration is refused",
    yaml: virtualService("[{timeout: soon, route: [{destination: {host: a}}]}]"),
    want: ['spec.http[0].timeout: Invalid value: "soon": must be a valid duration, like "1.5s" or "100ms"'],
  },
  {
    name: "a timeout of less than a millisecond is refused",
    yaml: virtualService("[{timeout: 1s, retries: {attempts: 1, perTryTimeout: 0s}, route: [{destination: {host: a}}]}]"),
    want: ['spec.http[0].retries.perTryTimeout: Invalid value: "0s": must be a valid duration greater than 1ms'],
  },
  {
    name: "a list where an object belongs is a wrong type",
    yaml: virtualService("{}"),
    want: ['spec.http: Invalid value: "object": spec.http in body must be of type array: "object"'],
  },
  {
    name: "portLevelMtls needs a selector",
    yaml: "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: p, namespace: a}, spec: {portLevelMtls: {80: {mode: STRICT}}}}",
    want: ['spec: Invalid value: "object": portLevelMtls requires selector'],
  },
  {
    name: "a bad name is refused",
    yaml: "{apiVersion: v1, kind: Namespace, metadata: {name: Bad_Name}}",
    want: [
      "metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ],
  },
  {
    name: "an IP block's exception must lie inside",
    yaml: "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: a}, spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]}}",
    want: ['spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`'],
  },
  {
    name: "a redirect filter needs its settings",
    yaml: "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: a}, spec: {rules: [{filters: [{type: RequestRedirect}]}]}}",
    want: ['spec.rules[0].filters[0]: Invalid value: "object": filter.requestRedirect must be specified for RequestRedirect filter.type'],
  },
];

for (const { name, yaml, want } of cases) test(name, () => assert.deepEqual(problemsOf(yaml), want));

test("a selector of a Deployment never changes", () => {
  const raw = parse(deployment("{app: a, x: y}")) as Raw;
  const { object: old } = admit(infoOf(raw), raw);
  const changed = { ...old, spec: { ...(old as KubeObject & { spec: object }).spec, selector: { matchLabels: { x: "y" } } } } as KubeObject;
  assert.deepEqual(validate(infoOf(raw), changed, old).map(formatProblem), ['spec.selector: Invalid value: {"matchLabels":{"x":"y"}}: field is immutable']);
});

test("defaults are those of Kubernetes", () => {
  const raw = parse(deployment("{app: a}")) as Raw;
  const decoded = decodeObject(infoOf(raw), raw).object;
  const { spec } = withDefaults(infoOf(raw), decoded) as unknown as {
    spec: { replicas: number; strategy: unknown; template: { spec: Raw & { containers: readonly Raw[] } } };
  };
  assert.equal(spec.replicas, 1);
  assert.deepEqual(spec.strategy, { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } });
  assert.equal(spec.template.spec["restartPolicy"], "Always");
  assert.equal(spec.template.spec["dnsPolicy"], "ClusterFirst");
  assert.equal(spec.template.spec.containers[0]?.["imagePullPolicy"], "IfNotPresent");
});

test("a NetworkPolicy without types, or without a spec, is one for ingress", () => {
  const typesOf = (spec: string) => {
    const raw = parse(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: a}${spec}}`) as Raw;
    const { object, problems } = admit(infoOf(raw), raw);
    assert.deepEqual(problems, []);
    return (object as KubeObject & { readonly spec: { readonly policyTypes: readonly string[] } }).spec.policyTypes;
  };
  assert.deepEqual(typesOf(""), ["Ingress"]);
  assert.deepEqual(typesOf(", spec: {podSelector: {}, policyTypes: []}"), ["Ingress"]);
  assert.deepEqual(typesOf(", spec: {podSelector: {}, policyTypes: [], egress: [{}]}"), ["Ingress", "Egress"]);
  assert.deepEqual(typesOf(", spec: {podSelector: {}, policyTypes: [Egress]}"), ["Egress"]);
});

test("defaulting twice changes nothing more", () => {
  for (const yaml of [deployment("{app: a}"), service("{ports: [{port: 80}]}"), virtualService("[{route: [{destination: {host: a}}]}]")]) {
    const raw = parse(yaml) as Raw;
    const once = withDefaults(infoOf(raw), decodeObject(infoOf(raw), raw).object);
    assert.deepEqual(withDefaults(infoOf(raw), once), once);
  }
});
