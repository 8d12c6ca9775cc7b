import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Pod } from "#model/core.ts";
import type { Container } from "#model/pod-parts.ts";
import { describeProcess, expand, type Sources } from "./environment.ts";

const facts = { podIP: "10.0.0.7", hostIP: "192.168.0.10", nodeName: "node-1", cpus: 4, memoryBytes: 2 ** 30 };
const sources: Sources = {
  configMap: (name) =>
    name === "settings" ? { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "shop" }, data: { COLOUR: "blue", SIZE: "big" } } : undefined,
  secret: (name) =>
    name === "login"
      ? { apiVersion: "v1", kind: "Secret", metadata: { name, namespace: "shop" }, data: { PASSWORD: Buffer.from("hush").toString("base64") } }
      : undefined,
  settled: () => Promise.resolve(),
};
const image = { match: "*", command: ["serve"], args: ["--quiet"], env: { LANGUAGE: "en" } };

function describeOf(container: Partial<Container>, entry = image) {
  const app: Container = { name: "app", ...container };
  const pod: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web-1", namespace: "shop", uid: "u1", labels: { app: "web" }, annotations: { note: "x" } },
    spec: { containers: [app], serviceAccountName: "seller" },
  };
  return describeProcess({ pod, container: app, image: entry, facts, sources });
}

describe("the command line", () => {
  const cases: readonly { readonly name: string; readonly container: Partial<Container>; readonly want: readonly string[] }[] = [
    { name: "is the image's", container: {}, want: ["serve", "--quiet"] },
    { name: "takes the Pod's args in place of the image's", container: { args: ["--loud"] }, want: ["serve", "--loud"] },
    { name: "takes the Pod's command in place of the image's command and args", container: { command: ["run"] }, want: ["run"] },
    { name: "expands what the environment has", container: { args: ["$(LANGUAGE)-$(NO)-$$(LANGUAGE)"] }, want: ["serve", "en-$(NO)-$(LANGUAGE)"] },
  ];
  for (const { name, container, want } of cases) {
    test(name, () => {
      const described = describeOf(container);
      assert.deepEqual("command" in described ? described.command : described, want);
    });
  }

  test("is missed when nobody gives one", () => {
    assert.deepEqual(describeOf({}, { ...image, command: [], args: [] }), {
      reason: "CreateContainerError",
      message: 'no command: neither containers[app].command nor the image map\'s entry for "*" has one',
    });
  });
});

describe("a variable", () => {
  const cases: readonly { readonly name: string; readonly env: NonNullable<Container["env"]>; readonly want: string | undefined }[] = [
    { name: "has its value", env: [{ name: "X", value: "1" }], want: "1" },
    {
      name: "may use those before it",
      env: [
        { name: "A", value: "1" },
        { name: "X", value: "$(A)2" },
      ],
      want: "12",
    },
    {
      name: "cannot use those after it",
      env: [
        { name: "X", value: "$(B)" },
        { name: "B", value: "1" },
      ],
      want: "$(B)",
    },
    { name: "of a field of the pod", env: [{ name: "X", valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } }], want: "web" },
    { name: "of the pod's address", env: [{ name: "X", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } }], want: "10.0.0.7" },
    { name: "of the service account", env: [{ name: "X", valueFrom: { fieldRef: { fieldPath: "spec.serviceAccountName" } } }], want: "seller" },
    { name: "of a limit that is not set is the node's", env: [{ name: "X", valueFrom: { resourceFieldRef: { resource: "limits.cpu" } } }], want: "4" },
    { name: "of a ConfigMap", env: [{ name: "X", valueFrom: { configMapKeyRef: { name: "settings", key: "COLOUR" } } }], want: "blue" },
    { name: "of a Secret", env: [{ name: "X", valueFrom: { secretKeyRef: { name: "login", key: "PASSWORD" } } }], want: "hush" },
    { name: "that is optional may be missing", env: [{ name: "X", valueFrom: { secretKeyRef: { name: "none", key: "K", optional: true } } }], want: undefined },
  ];
  for (const { name, env, want } of cases) {
    test(name, () => {
      const described = describeOf({ env });
      assert.ok("env" in described, JSON.stringify(described));
      assert.equal(described.env["X"], want);
    });
  }

  const faults: readonly { readonly name: string; readonly container: Partial<Container>; readonly message: string }[] = [
    {
      name: "of a ConfigMap that is not there names it and the field",
      container: { env: [{ name: "X", valueFrom: { configMapKeyRef: { name: "none", key: "K" } } }] },
      message: 'configmap "none" not found (containers[app].env[0] (X))',
    },
    {
      name: "of a key that is not there names both",
      container: { env: [{ name: "X", valueFrom: { configMapKeyRef: { name: "settings", key: "K" } } }] },
      message: "couldn't find key K in ConfigMap shop/settings (containers[app].env[0] (X))",
    },
    {
      name: "of a field that is not offered names it",
      container: { env: [{ name: "X", valueFrom: { fieldRef: { fieldPath: "status.phase" } } }] },
      message: 'fieldPath "status.phase" is not supported (containers[app].env[0] (X))',
    },
    {
      name: "list of a Secret that is not there names it",
      container: { envFrom: [{ secretRef: { name: "none" } }] },
      message: 'secret "none" not found (containers[app].envFrom[0])',
    },
  ];
  for (const { name, container, message } of faults)
    test(name, () => assert.deepEqual(describeOf(container), { reason: "CreateContainerConfigError", message }));
});

test("envFrom takes all keys, with a prefix, and env wins", () => {
  const described = describeOf({
    envFrom: [{ configMapRef: { name: "settings" } }, { secretRef: { name: "login" }, prefix: "S_" }],
    env: [{ name: "SIZE", value: "small" }],
  });
  assert.deepEqual("env" in described ? described.env : described, { LANGUAGE: "en", COLOUR: "blue", SIZE: "small", S_PASSWORD: "hush" });
});

test("$(NAME) is expanded by Kubernetes' rules", () => {
  const env = { A: "1", B: "$(A)" };
  for (const [text, want] of [
    ["$(A)", "1"],
    ["$(B)", "$(A)"],
    ["$$(A)", "$(A)"],
    ["$$$(A)", "$1"],
    ["$(A", "$(A"],
    ["$A", "$A"],
    ["$(toString)", "$(toString)"],
    ["a$", "a$"],
  ] as const)
    assert.equal(expand(text, env), want, text);
});
