/** What agents may write, and pods that they came too late for. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { provideImages } from "#tools/kubernetes/demo-world.ts";
import { eventually } from "./on-kubernetes.ts";
import type { Running } from "./shared-tests.ts";

const SYSTEM = ["-n", "weft-system"] as const;

/** Prints the answer's status and text: kubectl reads what it patches first, which agents may not. */
const REQUEST = `
  const [method, url, type, body] = process.argv.slice(1);
  fetch(url, { method, headers: { authorization: "Bearer " + process.env.TOKEN, "content-type": type }, body })
    .then(async (answer) => console.log(answer.status, await answer.text()));`;

interface ClientConfig {
  readonly clusters: readonly { readonly cluster: { readonly server: string; readonly "certificate-authority-data": string } }[];
}

/** Asks the API server as who has a token. */
async function speaker(cluster: Running, folder: string) {
  const config = JSON.parse(await cluster().get("config", "view", "--raw", "--flatten", "--minify", "-o", "json")) as ClientConfig;
  const { server, "certificate-authority-data": authority } = config.clusters[0]?.cluster ?? assert.fail("the kubeconfig names no cluster");
  const ca = join(folder, "ca.crt");
  writeFileSync(ca, Buffer.from(authority, "base64"));
  return async (token: string, request: readonly [method: string, path: string, type: string], body: object): Promise<string> => {
    const [method, path, type] = request;
    const env = { NODE_EXTRA_CA_CERTS: ca, TOKEN: token.trim() };
    const { stdout, stderr } = await cluster().run([process.execPath, "-e", REQUEST, method, `${server}${path}`, type, JSON.stringify(body)], { env });
    return stdout.trim() || stderr.trim();
  };
}

export function agentsWriteOfTheirOwnNode(cluster: Running): void {
  test("an agent's token writes that its own node's network is up, and nothing of another node or in another's name", async () => {
    const folder = mkdtempSync(join(tmpdir(), "weft-agent-"));
    try {
      const ask = await speaker(cluster, folder);
      const [pod = "", node = ""] = (
        await cluster().get(...SYSTEM, "get", "pods", "-l", "app=weft-agent", "-o", "jsonpath={.items[0].metadata.name} {.items[0].spec.nodeName}")
      ).split(" ");
      const names = (await cluster().get("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")).split(" ");
      const other = names.find((name) => name !== node) ?? assert.fail("the cluster has one node only");
      const token = await cluster().get(...SYSTEM, "create", "token", "weft-agent", "--bound-object-kind=Pod", `--bound-object-name=${pod}`);
      const unbound = await cluster().get(...SYSTEM, "create", "token", "weft-agent");
      const patch = (name: string, body: object, { by = token, of = "/status" } = {}): Promise<string> =>
        ask(by, ["PATCH", `/api/v1/nodes/${name}${of}`, "application/strategic-merge-patch+json"], body);
      const now = new Date().toISOString().replace(/[.]\d+Z$/, "Z");
      const condition = { type: "NetworkUnavailable", status: "False", reason: "WeftIsUp", message: "by a test", lastTransitionTime: now };
      const isUp = { status: { conditions: [condition] } };
      const moved = { status: { addresses: [{ type: "InternalIP", address: "203.0.113.9" }] } };

      assert.match(await patch(node, isUp), /^200 /);
      assert.match(await patch(other, isUp), new RegExp(`^403 .*weft-agent of node ${node} may not write the status of node ${other}`));
      for (const more of [moved, { status: { conditions: [{ ...condition, type: "Ready" }] } }, { metadata: { labels: { a: "b" } } }])
        assert.match(await patch(node, more), /^403 .*may write the condition NetworkUnavailable of its node and nothing else/);
      assert.match(await patch(node, isUp, { by: unbound }), /^403 .*this one says no node/);
      assert.match(await patch(node, { metadata: { labels: { a: "b" } } }, { of: "" }), /^403 .*cannot patch resource/);

      const say = (host: string): Promise<string> => ask(token, ["POST", "/api/v1/namespaces/default/events", "application/json"], eventOf(host));
      assert.match(await say(node), /^201 /);
      assert.match(await say(other), /^403 .*may write events of its own only/);

      // Nobody else is held to anything.
      await cluster().get("patch", "node", other, "--subresource=status", "-p", JSON.stringify({ metadata: { annotations: { "weft-test": "1" } } }));
      await cluster().get("annotate", "node", other, "weft-test-");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

function eventOf(host: string): object {
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: `weft-test-${Date.now()}`, namespace: "default" },
    involvedObject: { kind: "Service", name: "kubernetes", namespace: "default" },
    reason: "NotSupported",
    message: "by a test",
    type: "Warning",
    source: { component: "weft-agent", host },
    reportingComponent: "weft-agent",
    reportingInstance: host,
  };
}

const LATE = `
apiVersion: v1
kind: Pod
metadata: { name: late, namespace: default, labels: { app: late } }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: app
      image: weft/bookinfo-details:1
      ports: [{ containerPort: 9080 }]
`;
const CHAINED = "/etc/cni/net.d/05-weft-chained.conflist";

export function latePodsAreJoined(cluster: Running): void {
  test("a pod whose network was made before there was an agent joins the mesh when there is one", { timeout: 300_000 }, async (t) => {
    const { nodes } = cluster();
    if (nodes === undefined) return t.skip("nodes cannot be reached, so their CNI configuration cannot be taken away");
    const agents = (selector: object | null): Promise<string> =>
      cluster().get(...SYSTEM, "patch", "daemonset", "weft-agent", "-p", JSON.stringify({ spec: { template: { spec: { nodeSelector: selector } } } }));
    await provideImages(cluster(), [LATE]);
    await cluster().get("label", "--overwrite", "namespace", "default", "istio-injection=enabled");
    try {
      await agents({ "weft-test": "nowhere" });
      await cluster().get(...SYSTEM, "wait", "--for=delete", "pod", "-l", "app=weft-agent", "--timeout=60s");
      for (const node of nodes.names) await nodes.run(node, "rm", "-f", CHAINED);
      // containerd reads its folder again by itself.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      await cluster().apply(LATE);
      const ip = await eventually(
        () => cluster().get("-n", "default", "get", "pod", "late", "-o", "jsonpath={.status.podIP}"),
        (address) => address !== "",
      );
      assert.match(ip, /^\d/, "another plugin made its network");
    } finally {
      await agents({ "weft-test": null });
    }
    await cluster().get("-n", "default", "wait", "--for=condition=Ready", "pod/late", "--timeout=120s");
    const refused = await cluster().get("-n", "default", "get", "events", "--field-selector=involvedObject.name=late,reason=NotInMesh", "-o", "name");
    assert.equal(refused, "");
    await cluster().get("-n", "default", "delete", "pod", "late");
  });
}

/** Asks for the API server's own name ten times a second, each within half a second, until it is told to end; prints what was not answered. */
const QUESTIONS = `
  const socket = require("node:dgram").createSocket("udp4");
  const name = Buffer.concat(["kubernetes", "default", "svc", "cluster", "local"].map((part) => Buffer.from([part.length, ...Buffer.from(part)])));
  const open = new Map();
  let asked = 0, answered = 0, lost = 0;
  socket.on("message", (bytes) => { if (open.delete(bytes.readUInt16BE(0)) && bytes.readUInt16BE(6) > 0) answered += 1; });
  const timer = setInterval(() => {
    asked += 1;
    const id = asked & 0xffff;
    open.set(id, 1);
    socket.send(Buffer.concat([Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), name, Buffer.from([0, 0, 1, 0, 1])]), 53, process.argv[1]);
    setTimeout(() => open.delete(id) && (lost += 1), 500);
  }, 100);
  process.stdin.resume().on("end", () => { clearInterval(timer); setTimeout(() => { console.log(JSON.stringify({ asked, answered, lost })); process.exit(); }, 700); });`;

/** What kernels say of the programs that are installed: all but the agent's. */
export function programsAreNobody(cluster: Running): void {
  test("of Weft's programs all but the agents run as nobody, without a capability", { timeout: 60_000 }, async () => {
    const pods = [
      ["weft-system", "weft-names"],
      ["weft-system", "weft-control"],
      ["istio-system", "istio-ingressgateway"],
    ] as const;
    const script = 'console.log(require("fs").readFileSync("/proc/1/status", "latin1").replaceAll("\\t", " "))';
    for (const [namespace, app] of pods) {
      const names = (await cluster().get("-n", namespace, "get", "pods", "-l", `app=${app}`, "-o", "jsonpath={.items[*].metadata.name}")).split(" ");
      assert.ok(names[0] !== "", `no pod of ${app}`);
      for (const name of names) {
        const status = await cluster().get("-n", namespace, "exec", name, "--", "/opt/weft/bin/node", "-e", script);
        for (const line of ["CapPrm: 0000000000000000", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"])
          assert.ok(status.includes(line), `${name} has not "${line}": ${status}`);
        assert.match(status, /^Uid: [1-9]\d* [1-9]\d* [1-9]\d* [1-9]\d*$/m, name);
      }
    }
  });
}

export function namesStay(cluster: Running): void {
  test("names are answered while agents, and those who answer, are replaced", { timeout: 300_000 }, async (t) => {
    const { nodes } = cluster();
    if (nodes === undefined) return t.skip("nodes cannot be reached, so nobody can ask there");
    const address = await cluster().get("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}");
    const [program, ...args] = nodes.prefix(nodes.names[0] ?? "");
    const asker = spawn(program, [...args, process.execPath, "-e", QUESTIONS, address], { stdio: ["pipe", "pipe", "inherit"] });
    let told = "";
    asker.stdout.on("data", (bytes: Buffer) => (told += bytes.toString()));
    try {
      for (const name of ["weft-agent", "weft-names"]) {
        await cluster().get(...SYSTEM, "rollout", "restart", `daemonset/${name}`);
        await cluster().get(...SYSTEM, "rollout", "status", `daemonset/${name}`, "--timeout=120s");
      }
    } finally {
      const ended = new Promise((resolve) => asker.on("close", resolve));
      asker.stdin.end();
      await ended;
    }
    const { asked, answered, lost } = JSON.parse(told) as { asked: number; answered: number; lost: number };
    t.diagnostic(told.trim());
    assert.ok(asked > 50, told);
    assert.ok(lost <= 1 && answered >= asked - 1, told);
  });
}

const KEPT = LATE.replaceAll("late", "kept");

export function proxiesStartWithoutControl(cluster: Running): void {
  test(
    "a proxy that starts anew finds its configuration and its certificate, with no control plane and an agent that started since",
    {
      timeout: 400_000,
    },
    async () => {
      const scale = async (replicas: number): Promise<void> => {
        await cluster().get(...SYSTEM, "scale", "deployment", "weft-control", `--replicas=${replicas}`);
        if (replicas === 0) await cluster().get(...SYSTEM, "wait", "--for=delete", "pod", "-l", "app=weft-control", "--timeout=90s");
        else await cluster().get(...SYSTEM, "rollout", "status", "deployment/weft-control", "--timeout=120s");
      };
      const proxy = (): Promise<string> => {
        const ofProxy = '{.status.initContainerStatuses[?(@.name=="istio-proxy")]';
        return cluster().get("-n", "default", "get", "pod", "kept", "-o", `jsonpath=${ofProxy}.restartCount} ${ofProxy}.ready}`);
      };
      await provideImages(cluster(), [KEPT]);
      await cluster().get("label", "--overwrite", "namespace", "default", "istio-injection=enabled");
      await cluster().apply(KEPT);
      await cluster().get("-n", "default", "wait", "--for=condition=Ready", "pod/kept", "--timeout=120s");
      // It is written a moment after the last change.
      await new Promise((resolve) => setTimeout(resolve, 7_000));
      try {
        await scale(0);
        await cluster().get(...SYSTEM, "rollout", "restart", "daemonset/weft-agent");
        await cluster().get(...SYSTEM, "rollout", "status", "daemonset/weft-agent", "--timeout=120s");
        await cluster().kubectl("-n", "default", "exec", "kept", "-c", "istio-proxy", "--", "/opt/weft/bin/node", "-e", 'process.kill(1, "SIGTERM")');
        assert.equal(await eventually(proxy, (said) => said === "1 true", 90_000), "1 true");
      } finally {
        await scale(2);
      }
      await cluster().get("-n", "default", "delete", "pod", "kept");
    },
  );
}
