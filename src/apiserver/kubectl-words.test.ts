/**
 * What kubectl prints, command by command, for what works and for what is wrong: as it does with Kubernetes 1.33 to 1.35,
 * with which each line was compared. Every row is a command with its standard input, its status, and what it says.
 */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { startTestServer, type TestServer } from "./test-server.ts";

const missing =
  spawnSync("kubectl", ["version", "--client"], { stdio: "ignore" }).status === 0 ? false : "kubectl is not installed: its words are NOT compared";

interface Row {
  /** Split at spaces; "-f -" reads `input`. */
  readonly run: string;
  readonly input?: string;
  readonly code?: number;
  readonly says: RegExp;
}

const map = (name: string, more: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n${more}`;
const service = (name: string, spec: string) => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: ${spec}\n`;
const deployment = (spec: string) => `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: ${spec}\n`;
const pod = (container: string, more = "") =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: "i:1"${container}}]${more}}\n`;
const sound = (more = "") => `{selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x${more}}]}}}`;

const stories: Readonly<Record<string, readonly Row[]>> = {
  "applying and reading": [
    { run: "apply -f -", input: map("m", 'data: {a: "1"}'), says: /^configmap\/m created$/ },
    { run: "apply -f -", input: map("m", 'data: {a: "1"}'), says: /^configmap\/m unchanged$/ },
    { run: "diff -f -", input: map("m", 'data: {a: "2"}'), code: 1, says: /^-  a: "1"\n\+  a: "2"$/m },
    { run: "apply --dry-run=server -f -", input: map("m", 'data: {a: "2"}'), says: /^configmap\/m configured \(server dry run\)$/ },
    { run: "apply -f -", input: map("m", 'data: {a: "2"}'), says: /^configmap\/m configured$/ },
    { run: "get cm m -o jsonpath={.data.a}", says: /^2$/ },
    { run: "get cm -o custom-columns=N:.metadata.name,A:.data.a --no-headers", says: /^m +2$/ },
    { run: "get cm m", says: /^NAME +DATA +AGE\nm +1 +\d+s$/ },
    { run: "get cm -A --sort-by=.metadata.name -o name", says: /configmap\/m/ },
    { run: "get cm nothing", code: 1, says: /^Error from server \(NotFound\): configmaps "nothing" not found$/ },
    { run: "get nothing", code: 1, says: /^error: the server doesn't have a resource type "nothing"$/ },
    { run: "get cm --field-selector data.a=1", code: 1, says: /"data\.a" is not a known field selector: only "metadata\.name", "metadata\.namespace"$/ },
    { run: "get cm -n nowhere", says: /^No resources found in nowhere namespace\.$/ },
    { run: "wait cm/m --for=jsonpath={.data.a}=2 --timeout=5s", says: /^configmap\/m condition met$/ },
    { run: "wait cm/m --for=delete --timeout=1s", code: 1, says: /timed out waiting for the condition on configmaps\/m/ },
    {
      run: "create -f -",
      input: map("m", ""),
      code: 1,
      says: /^Error from server \(AlreadyExists\): error when creating "STDIN": configmaps "m" already exists$/,
    },
    {
      run: "replace -f -",
      input: map("gone", ""),
      code: 1,
      says: /^Error from server \(NotFound\): error when replacing "STDIN": configmaps "gone" not found$/,
    },
    {
      run: "replace -f -",
      input: map("m", "").replace("{name: m}", '{name: m, resourceVersion: "1"}'),
      code: 1,
      says: /\(Conflict\): .*Operation cannot be fulfilled on configmaps "m": the object has been modified; please apply your changes to the latest version and try again$/,
    },
    { run: "apply -n nowhere -f -", input: map("m", ""), code: 1, says: /\(NotFound\): error when creating "STDIN": namespaces "nowhere" not found$/ },
    {
      run: "create -f -",
      input: "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: g-}\n",
      says: /^configmap\/g-[bcdfghjklmnpqrstvwxz2456789]{5} created$/,
    },
    {
      run: "delete cm m nothing",
      code: 1,
      says: /^configmap "m" deleted( from default namespace)?\nError from server \(NotFound\): configmaps "nothing" not found$/,
    },
  ],
  "fields that are unknown, doubled or of a wrong type": [
    {
      run: "create -f -",
      input: map("u", "date: {}"),
      code: 1,
      says: /\(BadRequest\): .*ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "date"$/,
    },
    {
      run: "create --validate=warn -f -",
      input: map("u1", "date: {}"),
      says: /^(configmap\/u1 created\n)?Warning: unknown field "date"(\nconfigmap\/u1 created)?$/,
    },
    { run: "create --validate=ignore -f -", input: map("u2", "date: {}"), says: /^configmap\/u2 created$/ },
    {
      run: "create -f -",
      input: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"u3"},"data":{"a":"b","a":"c"}}',
      // kubectl reads JSON and sends the last one: only a client that sends both hears of it (hostile-bodies.test.ts).
      says: /^configmap\/u3 created$/,
    },
    {
      run: "create -f -",
      input: deployment('{replicas: "three"}'),
      code: 1,
      says: /Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec\.spec\.replicas of type int32$/,
    },
    {
      run: "create -f -",
      input: pod(", resources: {limits: {cpu: 1x}}"),
      code: 1,
      says: /Pod in version "v1" cannot be handled as a Pod: quantities must match the regular expression/,
    },
    {
      run: "create -f -",
      input: "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: not base64}\n",
      code: 1,
      says: /illegal base64 data at input byte 3$/,
    },
  ],
  "values that are not allowed": [
    {
      run: "apply -f -",
      input: service("Bad_Name", "{ports: [{port: 80}]}"),
      code: 1,
      says: /metadata\.name: Invalid value: "Bad_Name": a DNS-1035 label must consist of lower case/,
    },
    {
      run: "apply -f -",
      input: service("s", "{ports: [{port: 80}, {port: 81}]}"),
      code: 1,
      says: /\* spec\.ports\[0\]\.name: Required value\n\* spec\.ports\[1\]\.name: Required value$/,
    },
    {
      run: "apply -f -",
      input: service("s", "{clusterIP: 1.2.3.4, ports: [{port: 80}]}"),
      code: 1,
      says: /failed to allocate IP 1\.2\.3\.4: the provided network does not match the current range$/,
    },
    {
      run: "apply -f -",
      input: service("s", "{ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]}"),
      code: 1,
      says: /this cluster is not configured for dual-stack services$/,
    },
    {
      run: "apply -f -",
      input: deployment(sound().replace("labels: {a: b}", "labels: {a: c}")),
      code: 1,
      says: /spec\.template\.metadata\.labels: Invalid value: \{"a":"c"\}: `selector` does not match template `labels`$/,
    },
    { run: "apply -f -", input: deployment(sound()), says: /^deployment\.apps\/d created$/ },
    {
      run: 'patch deploy d --type=merge -p {"spec":{"selector":{"matchLabels":{"x":"y"}}}}',
      code: 1,
      says: /spec\.selector: Invalid value: .*: field is immutable/,
    },
    {
      run: 'patch deploy d --type=json -p [{"op":"test","path":"/spec/replicas","value":9}]',
      code: 1,
      says: /^The request is invalid: the server rejected our request due to an error in our request: testing value "\/spec\/replicas" failed$/,
    },
    { run: "label deploy d a/b/c=d", code: 1, says: /metadata\.labels: Invalid value: "a\/b\/c": a qualified name must consist of alphanumeric characters/ },
    { run: "scale deploy d --replicas=2 --current-replicas=9", code: 1, says: /^error: Expected replicas to be 9, was 1$/ },
    { run: "get deploy d --subresource=scale", says: /^NAME +DESIRED +AVAILABLE +AGE\nd +1 +0 +\d+s$/ },
    {
      run: "create -f -",
      input: pod(", env: [{name: a=b}]"),
      code: 1,
      says: /env\[0\]\.name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '='$/,
    },
    {
      run: "create -f -",
      input: pod(", env: [{name: a, valueFrom: {fieldRef: {fieldPath: metadata.x}}}]"),
      code: 1,
      says: /error converting fieldPath: field label not supported: metadata\.x$/,
    },
    {
      run: "create -f -",
      input: pod(", resources: {limits: {cpu: 1}, requests: {cpu: 2}}"),
      code: 1,
      says: /resources\.requests: Invalid value: "2": must be less than or equal to cpu limit of 1$/,
    },
    { run: "create -f -", input: pod(", volumeMounts: [{name: v, mountPath: /x}]"), code: 1, says: /volumeMounts\[0\]\.name: Not found: "v"$/ },
    {
      run: "create -f -",
      input: pod("", ", volumes: [{name: v, configMap: {name: c, items: [{key: k, path: ../up}]}}]"),
      code: 1,
      says: /configMap\.items\[0\]\.path: Invalid value: "\.\.\/up": must not contain '\.\.'$/,
    },
    {
      run: "create secret generic t --type=kubernetes.io/tls --from-literal=a=b",
      code: 1,
      says: /Secret "t" is invalid: \[data\[tls\.crt\]: Required value, data\[tls\.key\]: Required value\]$/,
    },
    {
      run: "delete namespace kube-system",
      code: 1,
      says: /^Error from server \(Forbidden\): namespaces "kube-system" is forbidden: this namespace may not be deleted$/,
    },
  ],
  "server-side apply": [
    { run: "apply --server-side -f -", input: map("ssa", 'data: {a: "1", b: "2"}'), says: /^configmap\/ssa serverside-applied$/ },
    {
      run: "apply --server-side --field-manager=other -f -",
      input: map("ssa", 'data: {a: "9", b: "8"}'),
      code: 1,
      says: /^error: Apply failed with 2 conflicts: conflicts with "kubectl":\n- \.data\.a\n- \.data\.b\n/,
    },
    {
      run: "apply --server-side --field-manager=other -f -",
      input: map("ssa", 'data: {a: "9"}'),
      code: 1,
      says: /^error: Apply failed with 1 conflict: conflict with "kubectl": \.data\.a\n/,
    },
    { run: "apply --server-side --field-manager=other --force-conflicts -f -", input: map("ssa", 'data: {a: "9"}'), says: /serverside-applied$/ },
    { run: "get cm ssa -o jsonpath={.data}", says: /^\{"a":"9","b":"2"\}$/ },
    { run: "scale deploy d --replicas=3", says: /scaled$/ },
    {
      run: "apply --server-side -f -",
      input: deployment(`{replicas: 5, ${sound().slice(1)}`),
      code: 1,
      says: /conflict with "kubectl" with subresource "scale" using apps\/v1: \.spec\.replicas/,
    },
  ],
  "questions about the server": [
    { run: "auth can-i create pods", says: /^yes$/ },
    { run: "auth can-i --list", says: /^\*\.\* +\[\] +\[\] +\[\*\]$/m },
    { run: "auth whoami", says: /Username +kubernetes-admin\nGroups +\[system:masters system:authenticated\]$/ },
    {
      run: "api-versions",
      says: /^apps\/v1\nauthentication\.k8s\.io\/v1\nauthorization\.k8s\.io\/v1\ncoordination\.k8s\.io\/v1\ndiscovery\.k8s\.io\/v1\ngateway\.networking\.k8s\.io\/v1/,
    },
    { run: "api-resources --api-group=networking.istio.io", says: /^virtualservices +vs +networking\.istio\.io\/v1 +true +VirtualService$/m },
    { run: "explain pod.spec.containers.readinessProbe.httpGet", says: /port\t<IntOrString> -required-/ },
    { run: "get --raw /readyz", says: /^ok$/ },
    { run: "get --raw /nothing", code: 1, says: /^Error from server \(NotFound\): the server could not find the requested resource$/ },
    { run: "top nodes", code: 1, says: /^error: Metrics API not available$/ },
    { run: "create token default", code: 1, says: /^error: failed to create token: the server could not find the requested resource$/ },
    { run: "get --raw /api/v1/configmaps?watch=1&resourceVersion=999999999", code: 1, says: /\(Expired\): too old resource version/ },
    {
      run: "get --raw /api/v1/configmaps?resourceVersion=999999999",
      code: 1,
      says: /\(Timeout\): Timeout: Too large resource version: 999999999, current: \d+$/,
    },
  ],
};

describe("kubectl's words", { skip: missing }, () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer({ endpoint: { ip: "192.0.2.1", port: 6443 } });
  });
  after(() => server.stop());

  function kubectl({ run, input = "" }: Row): Promise<{ readonly code: number; readonly said: string }> {
    const env = { ...process.env, KUBECONFIG: server.kubeconfig, HOME: server.folder, KUBECTL_EXTERNAL_DIFF: "diff -u" };
    return new Promise((resolve) => {
      const child = execFile("kubectl", run.split(" "), { env, timeout: 60_000 }, (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), said: `${out}${err}`.trim() });
      });
      child.stdin?.end(input);
    });
  }

  for (const [story, rows] of Object.entries(stories)) {
    test(story, async () => {
      for (const row of rows) {
        const { code, said } = await kubectl(row);
        assert.match(said, row.says, `kubectl ${row.run}`);
        assert.equal(code, row.code ?? 0, `kubectl ${row.run}: ${said}`);
      }
    });
  }
});
