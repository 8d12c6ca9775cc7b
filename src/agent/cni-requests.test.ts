import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileNode } from "#compile/node/node.ts";
import { DEFAULT_SETTINGS, type LocalPod } from "#compile/node/settings.ts";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { Pod } from "#model/core.ts";
import { worldReader } from "#model/world.ts";
import { CNI_ERRORS, type CniReply, type CniRequest, type CniResult } from "#wire/cni/cni.ts";
import { CniRequests } from "./cni-requests.ts";
import { PodRecords } from "./pod-records.ts";

/** An agent's answers to container runtimes, with pods that the API knows and namespaces that are there. A range of "" is none. */
async function lab({
  podCIDR = "10.244.0.0/24",
  known = ["a", "b", "c"],
  meshed = [],
  profile = "full",
}: { podCIDR?: string; known?: readonly string[]; meshed?: readonly string[]; profile?: "full" | "mesh" } = {}) {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "node-1" });
  await host.files.makeDirectory("/run/node");
  const records = new PodRecords(host, "/run/node/pods.json");
  const wired = new Map<string, LocalPod>();
  const failures = new Map<string, unknown>();
  const changed = new Map<string, string>();
  const told = new Map<string, string>();
  const proxies: string[] = [];
  const podNamed = (name: string): Pod => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "shop", uid: `uid-${name}` },
    spec: { containers: meshed.includes(name) ? [{ name: "istio-proxy" }] : [] },
  });
  const requests = new CniRequests({
    host,
    profile,
    records,
    podCIDR: () => (podCIDR === "" ? undefined : podCIDR),
    findPod: (key) => (known.includes(key.replace("shop/", "")) ? podNamed(key.replace("shop/", "")) : undefined),
    podAt: (ip) => told.get(ip),
    wire: (pod) => void wired.set(pod.uid, pod),
    unwire: (uid) => void wired.delete(uid),
    applied: () => Promise.resolve(compileNode(worldReader({}), { node: "node-1", settings: DEFAULT_SETTINGS }, [...wired.values()])),
    failureOf: (uid) => failures.get(uid),
    verify: (uid) => Promise.resolve(changed.get(uid)),
    policiesKnown: (namespace) => Promise.resolve(void proxies.push(`policies of ${namespace}`)),
    netnsPath: (path) => path.replace("/var/run/", "/run/"),
    serveProxy: ({ name }) => Promise.resolve(void proxies.push(`+${name}`)),
    forgetProxy: (uid) => Promise.resolve(void proxies.push(`-${uid}`)),
    dnsAddress: "10.96.0.10",
    clusterDomain: "cluster.local",
  });
  for (const name of ["a", "b", "c"]) await host.netns.create(`/run/netns/${name}`);
  const ask = (command: CniRequest["command"], name: string, more: Partial<CniRequest> = {}): Promise<CniReply> =>
    world.drive(
      requests.handle({
        command,
        cniVersion: "1.1.0",
        network: "weft",
        containerId: `container-${name}`,
        netns: `/run/netns/${name}`,
        interface: "eth0",
        args: { K8S_POD_NAMESPACE: "shop", K8S_POD_NAME: name, K8S_POD_UID: `uid-${name}` },
        socket: "",
        validContainerIds: [],
        ...more,
      }),
    );
  return { world, host, ask, records, requests, wired, failures, changed, told, proxies };
}

/** Of profile full. */
function made({ result }: CniReply): CniResult | undefined {
  return result === undefined || "passed" in result ? undefined : result;
}

const addressOf = (reply: CniReply): string | undefined => made(reply)?.ips[0]?.address;

test("ADD gives an address, the link and the way out, and serves the pod's proxy before it answers", async () => {
  const { ask, wired, proxies } = await lab();
  const result = made(await ask("ADD", "a"));
  assert.deepEqual(result?.ips, [{ address: "10.244.0.2/32", gateway: "169.254.1.1", interface: 1 }]);
  assert.equal(result.interfaces[1]?.sandbox, "/run/netns/a");
  assert.deepEqual(result.dns.search, ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
  assert.deepEqual([...wired.keys()], ["uid-a"]);
  assert.deepEqual(proxies, ["policies of shop", "+a"]);
});

test("ADD again of the same container gives the same address; DEL can be repeated", async () => {
  const { ask, wired, records } = await lab();
  const first = addressOf(await ask("ADD", "a"));
  assert.equal(addressOf(await ask("ADD", "a")), first);
  for (const time of ["first", "second"]) assert.deepEqual(await ask("DEL", "a"), {}, time);
  assert.equal(wired.size, 0);
  assert.deepEqual(records.all(), []);
});

test("an address that was just freed is not the next to be given", async () => {
  const { ask } = await lab();
  assert.equal(addressOf(await ask("ADD", "a")), "10.244.0.2/32");
  await ask("DEL", "a");
  assert.equal(addressOf(await ask("ADD", "b")), "10.244.0.3/32");
});

test("an address that the API still tells of another pod is the last to be given; a pod may have its own again", async () => {
  const { ask, told } = await lab({ podCIDR: "10.244.0.0/29" });
  told.set("10.244.0.2", "shop/c").set("10.244.0.3", "shop/a").set("10.244.0.4", "shop/gone").set("10.244.0.5", "shop/gone-too");
  assert.equal(addressOf(await ask("ADD", "a")), "10.244.0.3/32");
  assert.equal(addressOf(await ask("ADD", "b")), "10.244.0.6/32");
  assert.equal(addressOf(await ask("ADD", "c")), "10.244.0.2/32");
  told.set("10.244.0.2", "shop/other").set("10.244.0.3", "shop/other").set("10.244.0.6", "shop/other");
  await ask("DEL", "b");
  assert.equal(addressOf(await ask("ADD", "b")), "10.244.0.4/32", "there is no other");
});

test("GC removes whom the runtime does not name, and nobody else", async () => {
  const { ask, wired, proxies } = await lab();
  for (const name of ["a", "b", "c"]) await ask("ADD", name);
  proxies.length = 0;
  await ask("GC", "", { validContainerIds: ["container-b"] });
  assert.deepEqual([...wired.keys()], ["uid-b"]);
  assert.deepEqual(proxies, ["-uid-a", "-uid-c"]);
});

test("a small range is used to its end; then an address of a pod that went without DEL is taken back", async () => {
  const { ask, host } = await lab({ podCIDR: "10.244.0.0/30" });
  assert.equal(addressOf(await ask("ADD", "a")), "10.244.0.2/32");
  const full = await ask("ADD", "b");
  assert.equal(full.error?.message, "no free address in the node's range 10.244.0.0/30; delete pods or give the node a larger range");
  await host.netns.remove("/run/netns/a");
  assert.equal(addressOf(await ask("ADD", "b")), "10.244.0.2/32");
});

test("an agent that starts again knows whom it gave what, but for those who are gone", async () => {
  const { ask, host } = await lab();
  for (const name of ["a", "b"]) await ask("ADD", name);
  await host.netns.remove("/run/netns/a");
  const again = new PodRecords(host, "/run/node/pods.json");
  assert.deepEqual(
    (await again.load()).map(({ name, ip }) => `${name} ${ip}`),
    ["b 10.244.0.3"],
  );
});

test("a sandbox that is made anew has its pod; the late DEL of the old one changes nothing", async () => {
  const { ask, wired, proxies, host } = await lab();
  await ask("ADD", "a");
  await host.netns.create("/run/netns/again");
  await ask("ADD", "a", { containerId: "container-again", netns: "/run/netns/again" });
  proxies.length = 0;
  await ask("DEL", "a");
  assert.equal(wired.get("uid-a")?.netns, "/run/netns/again");
  await ask("DEL", "a", { containerId: "container-again" });
  assert.equal(wired.size, 0);
  assert.deepEqual(proxies, ["-uid-a"]);
});

test("pods that went without a DEL are swept, and nobody else", async () => {
  const { ask, requests, host, world, wired, records } = await lab();
  for (const name of ["a", "b"]) await ask("ADD", name);
  await host.netns.remove("/run/netns/a");
  await world.drive(requests.sweep());
  assert.deepEqual([...wired.keys()], ["uid-b"]);
  assert.equal(records.all().length, 1);
});

test("a namespace that the runtime names by /var/run is the one in /run", async () => {
  const { ask, records } = await lab();
  await ask("ADD", "a", { netns: "/var/run/netns/a" });
  assert.equal(records.all()[0]?.netns, "/run/netns/a");
});

test("CHECK looks into the kernel", async () => {
  const { ask, changed } = await lab();
  await ask("ADD", "a");
  assert.deepEqual(await ask("CHECK", "a"), {});
  changed.set("uid-a", "has no link eth0, or it is down");
  assert.deepEqual((await ask("CHECK", "a")).error, { code: CNI_ERRORS.agent, message: "Pod shop/a is not wired", details: "has no link eth0, or it is down" });
});

describe("behind another plugin", () => {
  const prevResult = { cniVersion: "0.3.1", ips: [{ version: "4", address: "10.88.1.7/24", interface: 2 }], more: "as it was" };

  test("ADD hands the result on, and wires a pod that has a proxy with the address it has", async () => {
    const { ask, wired, proxies } = await lab({ profile: "mesh", meshed: ["a"], podCIDR: "" });
    assert.deepEqual(await ask("ADD", "a", { prevResult }), { result: { passed: prevResult } });
    assert.equal(wired.get("uid-a")?.ip, "10.88.1.7");
    assert.deepEqual(proxies, ["+a"]);
    assert.deepEqual(await ask("CHECK", "a", { prevResult }), {});
    assert.deepEqual(await ask("STATUS", ""), {});
  });

  test("a pod without a proxy is none of ours", async () => {
    const { ask, wired, records } = await lab({ profile: "mesh", podCIDR: "" });
    assert.deepEqual(await ask("ADD", "b", { prevResult }), { result: { passed: prevResult } });
    assert.equal(wired.size + records.all().length, 0);
    assert.deepEqual(await ask("CHECK", "b"), {});
    assert.deepEqual(await ask("DEL", "b"), {});
  });

  test("GC and DEL forget what ADD made", async () => {
    const { ask, wired, records } = await lab({ profile: "mesh", meshed: ["a", "b", "c"] });
    for (const name of ["a", "b", "c"]) await ask("ADD", name, { prevResult });
    await ask("GC", "", { validContainerIds: ["container-a", "container-b"] });
    await ask("DEL", "b");
    assert.deepEqual([[...wired.keys()], records.all().map(({ name }) => name)], [["uid-a"], ["a"]]);
  });

  test("an ADD that nobody was before is refused", async () => {
    const { ask } = await lab({ profile: "mesh", meshed: ["a"] });
    assert.equal((await ask("ADD", "a")).error?.code, CNI_ERRORS.invalidConfig);
  });
});

describe("a request that cannot be met", () => {
  const cases: readonly {
    readonly name: string;
    readonly command?: CniRequest["command"];
    readonly make?: Parameters<typeof lab>[0];
    readonly more?: Partial<CniRequest>;
    readonly code: number;
    readonly message: RegExp;
  }[] = [
    {
      name: "because the API does not know the pod",
      make: { known: [] },
      code: CNI_ERRORS.tryLater,
      message: /^Pod shop\/a \(uid uid-a\) is not known to this node yet/,
    },
    { name: "because the node has no range", make: { podCIDR: "" }, code: CNI_ERRORS.tryLater, message: /Node spec\.podCIDR/ },
    { name: "for another link", more: { interface: "net1" }, code: CNI_ERRORS.unsupportedField, message: /CNI_IFNAME: value "net1" is not supported/ },
    {
      name: "in a namespace that is not there",
      more: { netns: "/run/netns/none" },
      code: CNI_ERRORS.unknownContainer,
      message: /no network namespace at \/run\/netns\/none/,
    },
    { name: "without the pod's name", more: { args: {} }, code: CNI_ERRORS.invalidEnvironment, message: /CNI_ARGS needs K8S_POD_NAMESPACE and K8S_POD_NAME/ },
    { name: "to check what was never added", command: "CHECK", code: CNI_ERRORS.unknownContainer, message: /was never added on this node/ },
    {
      name: "for the status of a node without a range",
      command: "STATUS",
      make: { podCIDR: "" },
      code: CNI_ERRORS.notAvailable,
      message: /no range for pods yet/,
    },
  ];
  for (const { name, command = "ADD", make, more, code, message } of cases) {
    test(name, async () => {
      const { ask } = await lab(make);
      const { error } = await ask(command, "a", more);
      assert.equal(error?.code, code);
      assert.match(error.message, message);
    });
  }

  test("because the kernel refused says what the kernel said", async () => {
    const { ask, failures } = await lab();
    failures.set("uid-a", new Error("link weft0: no such device"));
    assert.deepEqual((await ask("ADD", "a")).error, {
      code: CNI_ERRORS.agent,
      message: "Pod shop/a: could not be wired",
      details: "link weft0: no such device",
    });
  });
});
