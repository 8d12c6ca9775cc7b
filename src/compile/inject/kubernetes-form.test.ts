import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { goldenCases } from "#compile/test-golden.ts";
import { parse, stringify } from "yaml";
import type { Namespace, Pod } from "#model/core.ts";
import { formatProblem } from "#model/problem.ts";
import { injectProxy, type InjectionForm } from "./inject.ts";

const folder = new URL("testdata/", import.meta.url);
const namespace: Namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "default", labels: { "istio-injection": "enabled" } } };
const FORM: InjectionForm = { kind: "kubernetes", image: "weft:test" };
const inject = (pod: Pod) => injectProxy(frozen(pod), namespace, FORM);

function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}

/** What admission says, and what is stored. */
function answer(input: string): string {
  const { pod, problems, warnings } = inject(parse(input) as Pod);
  const said = [...problems.map((problem) => `# Refused: ${formatProblem(problem)}\n`), ...warnings.map((text) => `# Warning: ${text}\n`)];
  const { metadata, spec } = pod;
  return `-- stored --\n${said.join("")}${problems.length > 0 ? "" : stringify({ metadata, spec }, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

goldenCases("injection on Kubernetes", folder, answer, (name, input) => {
  it(`called again: ${name}`, () => {
    const once = inject(parse(input) as Pod);
    const twice = inject(once.pod);
    assert.equal(twice.pod, once.pod);
    assert.deepEqual(twice.problems, once.problems);
  });
});

describe("injection after others changed the pod", () => {
  const given: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "a", namespace: "default" },
    spec: { containers: [{ name: "app", livenessProbe: { tcpSocket: { port: 80 } } }] },
  };
  const probes = (pod: Pod): string | undefined => pod.spec.initContainers?.[0]?.env?.find(({ name }) => name === "WEFT_APP_PROBES")?.value;

  it("takes over the probes of a container that came later, and keeps those it has", () => {
    const { pod: first } = inject(given);
    const later: Pod = {
      ...first,
      spec: { ...first.spec, containers: [...first.spec.containers, { name: "late", readinessProbe: { httpGet: { port: 81, path: "/" } } }] },
    };
    const { pod } = inject(later);
    assert.deepEqual(Object.keys(JSON.parse(probes(pod) ?? "{}") as object), ["/app-health/app/livez", "/app-health/late/readyz"]);
    assert.equal(pod.spec.initContainers?.length, 1);
  });

  it("forgets what no container asks any more", () => {
    const { pod: first } = inject(given);
    const { pod } = inject({ ...first, spec: { ...first.spec, containers: [{ name: "app" }] } });
    assert.equal(probes(pod), undefined);
  });

  it("refuses a uid that came later, whatever the annotation says", () => {
    const { pod: first } = inject(given);
    const { problems } = inject({ ...first, spec: { ...first.spec, containers: [{ name: "app", securityContext: { runAsUser: 1337 } }] } });
    assert.deepEqual(
      problems.map(({ field }) => field),
      ["spec.containers[0].securityContext.runAsUser"],
    );
  });

  it("does not take an annotation for a proxy", () => {
    const claimed: Pod = { ...given, metadata: { ...given.metadata, annotations: { "sidecar.istio.io/status": "{}" } } };
    assert.equal(inject(claimed).pod.spec.initContainers?.[0]?.name, "istio-proxy");
  });
});
