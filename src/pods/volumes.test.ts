import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Pod } from "#model/core.ts";
import type { Container, Volume } from "#model/pod-parts.ts";
import type { Sources } from "./environment.ts";
import { volumeMounts } from "./mounts.ts";
import { serviceAccountVolume, volumeContent } from "./volumes.ts";

const sources: Sources = {
  configMap: (name) =>
    name === "settings"
      ? {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name },
          data: { "a.conf": "A", b: "B" },
          binaryData: { raw: Buffer.from([0, 255]).toString("base64") },
        }
      : undefined,
  secret: (name) =>
    name === "login" ? { apiVersion: "v1", kind: "Secret", metadata: { name }, data: { key: Buffer.from("K").toString("base64") } } : undefined,
  settled: () => Promise.resolve(),
};
const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "shop", labels: { app: "web" } },
  spec: { containers: [{ name: "app", resources: { limits: { memory: "64Mi" } } }] },
};
const facts = { podIP: "10.0.0.7", hostIP: "192.168.0.10", nodeName: "node-1", cpus: 4, memoryBytes: 2 ** 30 };

/** "path mode content" a file, or the problem's words. */
function filesOf(volume: Omit<Volume, "name">): readonly string[] | string {
  const content = volumeContent({ name: "v", ...volume }, { pod, facts, sources, clusterCa: "CA" });
  if (content.kind === "problem") return `${content.problem.reason}: ${content.problem.message}`;
  return content.kind === "empty"
    ? ["empty"]
    : content.files.map((file) => `${file.path} ${file.mode.toString(8)} ${Buffer.from(file.content).toString("latin1")}`);
}

describe("a volume", () => {
  const cases: readonly { readonly name: string; readonly volume: Omit<Volume, "name">; readonly want: readonly string[] | string }[] = [
    { name: "of emptyDir is empty", volume: { emptyDir: {} }, want: ["empty"] },
    { name: "of a ConfigMap has all its keys", volume: { configMap: { name: "settings" } }, want: ["a.conf 644 A", "b 644 B", "raw 644 \0\u00ff"] },
    {
      name: "of chosen items has their paths and modes",
      volume: {
        configMap: {
          name: "settings",
          defaultMode: 0o400,
          items: [
            { key: "b", path: "deep/b" },
            { key: "a.conf", path: "a", mode: 0o755 },
          ],
        },
      },
      want: ["deep/b 400 B", "a 755 A"],
    },
    { name: "of a Secret is decoded", volume: { secret: { secretName: "login" } }, want: ["key 644 K"] },
    { name: "of an absent object is a problem", volume: { secret: { secretName: "none" } }, want: 'FailedMount: secret "none" not found' },
    { name: "of an absent optional object has no files", volume: { secret: { secretName: "none", optional: true } }, want: [] },
    {
      name: "of an absent key is a problem",
      volume: { configMap: { name: "settings", items: [{ key: "c", path: "c" }] } },
      want: 'FailedMount: configmap "settings" references non-existent config key: c',
    },
    {
      name: "cannot write outside of itself",
      volume: { configMap: { name: "settings", items: [{ key: "b", path: "../b" }] } },
      want: 'FailedMount: path "../b" must be relative and must not contain ".."',
    },
    {
      name: "of the downward API has fields and resources",
      volume: {
        downwardAPI: {
          items: [
            { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
            { path: "memory", resourceFieldRef: { containerName: "app", resource: "limits.memory", divisor: "1Mi" } },
          ],
        },
      },
      want: ['labels 644 app="web"', "memory 644 64"],
    },
    {
      name: "of several sources joins them, the last one winning",
      volume: {
        projected: {
          sources: [{ configMap: { name: "settings", items: [{ key: "b", path: "x" }] } }, { secret: { name: "login", items: [{ key: "key", path: "x" }] } }],
        },
      },
      want: ["x 644 K"],
    },
    {
      name: "of the host's files is refused",
      volume: { hostPath: { path: "/" } },
      want: 'FailedMount: volume "v": hostPath is not supported by this runtime; use configMap, secret, emptyDir, projected or downwardAPI',
    },
  ];
  for (const { name, volume, want } of cases) test(name, () => assert.deepEqual(filesOf(volume), want));

  test("of the service account has the CA and the namespace", () =>
    assert.deepEqual(filesOf({ projected: serviceAccountVolume.projected ?? {} }), ["ca.crt 644 CA", "namespace 644 shop"]));
});

describe("a mount", () => {
  const volumes: Volume[] = [
    { name: "cfg", configMap: { name: "settings" } },
    { name: "work", emptyDir: {} },
  ];
  const mountsOf = (...mounts: NonNullable<Container["volumeMounts"]>): readonly string[] | string => {
    const plan = volumeMounts(
      { ...pod, spec: { ...pod.spec, volumes, automountServiceAccountToken: false } },
      { name: "app", volumeMounts: mounts },
      "/volumes",
      { WHO: "me" },
    );
    return "reason" in plan ? plan.message : plan.map(({ source, path, readOnly }) => `${source} ${path}${readOnly ? " ro" : ""}`);
  };
  const cases: readonly { readonly name: string; readonly mount: NonNullable<Container["volumeMounts"]>[number]; readonly want: readonly string[] | string }[] =
    [
      { name: "of a ConfigMap is read-only", mount: { name: "cfg", mountPath: "/cfg" }, want: ["/volumes/cfg /cfg ro"] },
      { name: "of an emptyDir can be written", mount: { name: "work", mountPath: "/scratch/" }, want: ["/volumes/work /scratch"] },
      { name: "may ask not to write", mount: { name: "work", mountPath: "/scratch", readOnly: true }, want: ["/volumes/work /scratch ro"] },
      { name: "of one file", mount: { name: "cfg", mountPath: "/etc/app/a.conf", subPath: "a.conf" }, want: ["/volumes/cfg/a.conf /etc/app/a.conf ro"] },
      { name: "of a file named by the environment", mount: { name: "cfg", mountPath: "/x", subPathExpr: "$(WHO)" }, want: ["/volumes/cfg/me /x ro"] },
      { name: "into /var/run is one into /run", mount: { name: "work", mountPath: "/var/run/app" }, want: ["/volumes/work /run/app"] },
      {
        name: "of a part of an emptyDir is refused: a link in it would be followed outside",
        mount: { name: "work", mountPath: "/x", subPath: "a" },
        want: 'containers[app].volumeMounts[0].subPath is supported for configMap, secret, projected and downwardAPI volumes, not for emptyDir "work"',
      },
      {
        name: "of a volume that is not there",
        mount: { name: "none", mountPath: "/x" },
        want: 'containers[app].volumeMounts[0]: volume "none" is not among spec.volumes',
      },
      {
        name: "out of the volume is refused",
        mount: { name: "cfg", mountPath: "/x", subPath: "../../secrets" },
        want: 'containers[app].volumeMounts[0].subPath "../../secrets" must be relative and must not contain ".."',
      },
    ];
  for (const { name, mount, want } of cases) test(name, () => assert.deepEqual(mountsOf(mount), want));

  for (const path of ["/", "/usr/bin", "/proc/self", "/etc", "/etc/ld.so.preload", "/dev/null", "/opt/node", "relative", "/a/../usr"])
    test(`over ${path} is refused`, () => assert.match(String(mountsOf({ name: "work", mountPath: path })), /mountPath/));
});
