/** What pods of Weft may do: nothing but an agent is root, has a capability, or could become more than it is. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { injectProxy } from "#compile/inject/inject.ts";
import type { Namespace, Pod } from "#model/core.ts";
import type { KubernetesConfig } from "#model/kubernetes-config.ts";
import { installManifests } from "./install.ts";
import { AGENT, describeObject } from "./manifest.ts";
import { testSettings } from "./test-settings.ts";

interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly privileged?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  readonly seccompProfile?: { readonly type?: string };
}

interface PodSpec {
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly securityContext?: SecurityContext;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes?: readonly { readonly name: string; readonly hostPath?: { readonly path: string } }[];
}

interface Container {
  readonly name: string;
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: readonly { readonly name: string; readonly readOnly?: boolean }[];
}

/** What of a pod is more than it should be; nothing. */
function excesses({ hostPID, hostIPC, securityContext: ofPod = {}, initContainers = [], containers, volumes = [] }: PodSpec): string[] {
  const found = [...(hostPID === true ? ["hostPID"] : []), ...(hostIPC === true ? ["hostIPC"] : [])];
  const ofNode = new Set(volumes.filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name));
  for (const { name, securityContext: own = {}, volumeMounts = [] } of [...initContainers, ...containers]) {
    const context = { ...ofPod, ...own };
    const { add = [], drop = [] } = context.capabilities ?? {};
    const rules = {
      "runAsNonRoot is not true": context.runAsNonRoot === true,
      "runAsUser is not a number above 0": (context.runAsUser ?? 0) > 0,
      privileged: context.privileged !== true,
      "allowPrivilegeEscalation is not false": context.allowPrivilegeEscalation === false,
      "the root file system can be written": context.readOnlyRootFilesystem === true,
      "keeps capabilities": drop.includes("ALL") && add.length === 0,
      "seccomp is not RuntimeDefault": context.seccompProfile?.type === "RuntimeDefault",
      "writes files of the node": volumeMounts.every((mount) => mount.readOnly === true || !ofNode.has(mount.name)),
    };
    found.push(...Object.entries(rules).flatMap(([text, holds]) => (holds ? [] : [`${name}: ${text}`])));
  }
  return found;
}

const profiles: readonly KubernetesConfig["profile"][] = ["full", "mesh"];
for (const profile of profiles) {
  describe(`pods that profile ${profile} installs are nobody`, () => {
    const templates = installManifests(testSettings({ profile })).flatMap((manifest) => {
      const { template } = (manifest["spec"] ?? {}) as { readonly template?: { readonly spec: PodSpec } };
      return template === undefined ? [] : [{ manifest, spec: template.spec }];
    });
    test("which are these", () => {
      const names = templates.map(({ manifest }) => manifest.metadata.name).toSorted();
      assert.deepEqual(names, ["istio-ingressgateway", AGENT, "weft-control", ...(profile === "full" ? ["weft-names"] : [])]);
    });
    for (const { manifest, spec } of templates.filter(({ manifest: { metadata } }) => metadata.name !== AGENT))
      test(describeObject(manifest), () => assert.deepEqual(excesses(spec), []));
  });
}

test("a sidecar is nobody, whatever its pod is", () => {
  const namespace: Namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", labels: { "istio-injection": "enabled" } } };
  const asked: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web", namespace: "shop" },
    spec: { securityContext: { runAsUser: 0 }, containers: [{ name: "web", image: "web" }] },
  };
  const { pod } = injectProxy(asked, namespace, { kind: "kubernetes", image: "example.org/weft:1.2.3" });
  const { securityContext, initContainers = [] } = pod.spec as unknown as PodSpec;
  const proxy = initContainers.find(({ name }) => name === "istio-proxy") ?? assert.fail("no proxy was added");
  assert.deepEqual(excesses({ ...(securityContext === undefined ? {} : { securityContext }), containers: [proxy] }), []);
});
