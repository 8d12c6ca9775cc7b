/** What every host does with namespaces and netlink. A real host runs it inside namespaces of its own. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NetlinkSession, RouteFacts } from "#host/netlink.ts";
import type { PeerCredentials, RpcChannel, RpcMethod } from "#host/rpc.ts";
import type { Subject } from "./subject.ts";
import { Tape } from "./tape.ts";

/** Two namespaces joined by a veth: v0 10.0.0.1/24 in a, eth0 10.0.0.2/24 in b. */
interface Joined {
  readonly a: string;
  readonly b: string;
  readonly inA: NetlinkSession;
  readonly inB: NetlinkSession;
}

async function join({ host, folder }: Subject): Promise<Joined> {
  const a = `${folder}/ns-a`;
  const b = `${folder}/ns-b`;
  await host.netns.create(a);
  await host.netns.create(b);
  const inA = host.netlink.open(a);
  const inB = host.netlink.open(b);
  await inA.addLink({ kind: "veth", name: "v0", mtu: 1450, mac: "0a:00:00:00:00:01", peer: { name: "eth0", netns: b, mtu: 1450 } });
  await inA.setLink("v0", { up: true });
  await inB.setLink("eth0", { up: true });
  await inA.addAddress("v0", "10.0.0.1/24");
  await inB.addAddress("eth0", "10.0.0.2/24");
  return { a, b, inA, inB };
}

async function leave({ host }: Subject, { a, b, inA, inB }: Joined): Promise<void> {
  inA.close();
  inB.close();
  await host.netns.remove(a);
  await host.netns.remove(b);
}

const isV4 = (text: string): boolean => !text.includes(":");

async function v4Routes(session: NetlinkSession): Promise<string[]> {
  const text = (route: RouteFacts): string =>
    [
      route.destination,
      route.gateway === undefined ? "" : `via ${route.gateway}`,
      `dev ${route.link ?? "?"}`,
      route.source === undefined ? "" : `src ${route.source}`,
    ]
      .filter((part) => part !== "")
      .join(" ");
  return (await session.routes())
    .filter((route) => isV4(route.destination))
    .map(text)
    .sort();
}

function firstStatus(channel: RpcChannel): Promise<number> {
  return new Promise((resolve) => {
    channel.call("/test.Test/Method", {}, { onMessage: () => undefined, onClose: ({ code }) => resolve(code) });
  });
}

export function kernelContract(make: () => Promise<Subject>): void {
  const cases: Record<string, (subject: Subject, joined: Joined) => Promise<void>> = {
    "a namespace exists until it is removed; making it twice is refused": async ({ host, folder }) => {
      const path = `${folder}/ns-c`;
      assert.equal(await host.netns.exists(path), false);
      await host.netns.create(path);
      assert.equal(await host.netns.exists(path), true);
      await assert.rejects(host.netns.create(path), { name: "HostError", code: "EEXIST" });
      await host.netns.remove(path);
      await host.netns.remove(path);
      assert.equal(await host.netns.exists(path), false);
      assert.throws(() => host.netlink.open(path), { name: "HostError", code: "ENOENT" });
    },
    "a veth has an end in each namespace, as it was asked for": async (_, { inA, inB }) => {
      const v0 = (await inA.links()).find((link) => link.name === "v0");
      assert.deepEqual({ ...v0, index: 0 }, { index: 0, name: "v0", kind: "veth", mac: "0a:00:00:00:00:01", mtu: 1450, up: true, master: undefined });
      assert.ok((await inB.links()).some((link) => link.name === "eth0" && link.mtu === 1450));
      assert.ok((await inB.links()).some((link) => link.name === "lo" && link.up));
    },
    "addresses bring their network's route, and go with it": async (_, { inA }) => {
      assert.deepEqual(await v4Routes(inA), ["10.0.0.0/24 dev v0 src 10.0.0.1"]);
      assert.ok((await inA.addresses()).some(({ link, cidr }) => link === "v0" && cidr === "10.0.0.1/24"));
      await inA.deleteAddress("v0", "10.0.0.1/24");
      assert.deepEqual(await v4Routes(inA), []);
      assert.ok(!(await inA.addresses()).some(({ cidr }) => cidr === "10.0.0.1/24"));
    },
    "adding what is there and deleting what is not both succeed": async (_, { a, b, inA }) => {
      const route = { destination: "10.9.0.0/16", gateway: "10.0.0.2", link: "v0" };
      const neighbour = { link: "v0", ip: "10.0.0.99", mac: "0a:00:00:00:00:99", family: "ip", permanent: true } as const;
      for (let i = 0; i < 2; i += 1) {
        await inA.addLink({ kind: "veth", name: "v0", peer: { name: "eth0", netns: b } });
        await inA.addAddress("v0", "10.0.0.1/24");
        await inA.addRoute(route);
        await inA.addNeighbour(neighbour);
      }
      assert.deepEqual(await v4Routes(inA), ["10.0.0.0/24 dev v0 src 10.0.0.1", "10.9.0.0/16 via 10.0.0.2 dev v0"]);
      assert.deepEqual(
        (await inA.neighbours()).filter((each) => each.ip === "10.0.0.99"),
        [neighbour],
      );
      for (let i = 0; i < 2; i += 1) {
        await inA.deleteNeighbour(neighbour);
        await inA.deleteRoute(route);
        await inA.deleteAddress("v0", "10.0.0.1/24");
        await inA.deleteLink("v0");
      }
      assert.ok(!(await inA.links()).some((link) => link.name === "v0"), a);
      assert.deepEqual(await v4Routes(inA), []);
    },
    "a link that goes takes its other end, its addresses, routes and neighbours along": async (_, { inA, inB }) => {
      await inA.addRoute({ destination: "10.9.0.0/16", gateway: "10.0.0.2", link: "v0" });
      await inB.deleteLink("eth0");
      assert.ok(!(await inA.links()).some((link) => link.name === "v0"));
      assert.deepEqual(await v4Routes(inA), []);
    },
    "refusals name the object and the kernel's reason": async (_, { inA }) => {
      await assert.rejects(inA.addLink({ kind: "bridge", name: "v0" }), { name: "HostError", code: "EEXIST", message: /link v0.*veth/ });
      await assert.rejects(inA.setLink("nope", { up: true }), { name: "HostError", code: "ENODEV", message: /nope/ });
      await assert.rejects(inA.addRoute({ destination: "10.8.0.0/16", gateway: "192.0.2.1", link: "v0" }), {
        name: "HostError",
        code: "ENETUNREACH",
        message: /10\.8\.0\.0\/16/,
      });
    },
    "a gateway that is not on the link is taken when it is said to be onlink": async (_, { inB }) => {
      await inB.addRoute({ destination: "0.0.0.0/0", gateway: "169.254.1.1", link: "eth0", onlink: true });
      assert.deepEqual(await v4Routes(inB), ["0.0.0.0/0 via 169.254.1.1 dev eth0", "10.0.0.0/24 dev eth0 src 10.0.0.2"]);
    },
    "a bridge has ports, and a port can leave it": async (_, { inA }) => {
      await inA.addLink({ kind: "bridge", name: "br0", mtu: 1400 });
      await inA.setLink("v0", { master: "br0" });
      assert.equal((await inA.links()).find((link) => link.name === "v0")?.master, "br0");
      await inA.setLink("v0", { master: null });
      assert.equal((await inA.links()).find((link) => link.name === "v0")?.master, undefined);
    },
    "VXLAN forwards by permanent entries": async (_, { inA }) => {
      await inA.addLink({
        kind: "vxlan",
        name: "vx",
        vni: 42,
        port: 4789,
        local: "10.0.0.1",
        device: "v0",
        learning: false,
        mtu: 1400,
        mac: "0a:00:00:00:00:42",
      });
      await inA.setLink("vx", { up: true });
      const entry = { link: "vx", mac: "0a:00:00:00:00:55", destination: "10.0.0.2", family: "bridge", permanent: true } as const;
      await inA.addNeighbour(entry);
      await inA.addNeighbour({ ...entry, destination: "10.0.0.3" });
      assert.deepEqual(
        (await inA.neighbours()).filter((each) => each.link === "vx"),
        [{ ...entry, destination: "10.0.0.3" }],
      );
      await inA.deleteNeighbour({ ...entry, destination: "10.0.0.3" });
      assert.deepEqual(
        (await inA.neighbours()).filter((each) => each.link === "vx"),
        [],
      );
    },
    "a namespace has one identity that no other has": async ({ host, folder }, { a, b }) => {
      const [ofA, ofB] = [await host.netns.identity(a), await host.netns.identity(b)];
      assert.ok(ofA !== undefined && ofB !== undefined && ofA !== ofB);
      assert.equal(await host.netns.identity(a), ofA);
      assert.equal(await host.netns.identity(`${folder}/none`), undefined);
    },
    "a link can be moved to another namespace": async (_, { a, inA, inB }) => {
      await inB.addLink({ kind: "veth", name: "m0", peer: { name: "m1" } });
      await inB.setLink("m1", { netns: a });
      assert.ok((await inA.links()).some((link) => link.name === "m1"));
      assert.ok(!(await inB.links()).some((link) => link.name === "m1"));
    },
    "sockets live in the namespace that is asked for": async ({ host }, { a, b }) => {
      const tape = new Tape(host.clock);
      const listener = await host.net.listen({ address: { ip: "10.0.0.2", port: 80 }, netns: b }, (connection) => {
        connection.handle({ onData: (bytes) => connection.write(Buffer.from(bytes)), onClose: () => undefined });
        assert.equal(connection.facts.remote?.ip, "10.0.0.1");
      });
      const client = host.net.connect({ address: { ip: "10.0.0.2", port: 80 }, netns: a, mark: 0x539, timeoutMs: 2_000 }, tape);
      client.write("through the veth");
      await tape.until((heard) => heard.text === "through the veth", "the echo");
      const refused = new Tape(host.clock);
      host.net.connect({ address: { ip: "10.0.0.2", port: 81 }, netns: a, sourceIp: "10.0.0.1", timeoutMs: 2_000 }, refused);
      await refused.until((heard) => heard.closed === 1, "the refusal");
      assert.equal(refused.error?.code, "ECONNREFUSED");
      client.destroy();
      await listener.close();
    },
    "abstract Unix sockets live in the namespace that is asked for": async ({ host }, { a, b }) => {
      const address = { path: "@weft/contract" };
      const heard: Record<string, Tape> = { a: new Tape(host.clock), b: new Tape(host.clock) };
      const serve = (netns: string, name: string) =>
        host.net.listen({ address, netns }, (connection) => {
          assert.equal(typeof connection.facts.peerCredentials?.pid, "number");
          connection.handle({ onData: (bytes) => connection.write(`${name}: ${Buffer.from(bytes).toString()}`), onClose: () => undefined });
        });
      const listeners = [await serve(a, "a"), await serve(b, "b")];
      const clients = [a, b].map((netns) => {
        const tape = netns === a ? heard["a"] : heard["b"];
        assert.ok(tape);
        const client = host.net.connect({ address, netns }, tape);
        client.write("hello");
        return client;
      });
      for (const [name, tape] of Object.entries(heard)) await tape.until(({ text }) => text === `${name}: hello`, `the answer of ${name}`);
      const refused = new Tape(host.clock);
      host.net.connect({ address }, refused);
      await refused.until((tape) => tape.closed === 1, "the refusal at home");
      assert.equal(refused.error?.code, "ECONNREFUSED");
      for (const client of clients) client.destroy();
      for (const listener of listeners) await listener.close();
    },
    "gRPC is served in another namespace, to whom is admitted": async ({ host }, { a }) => {
      const seen: PeerCredentials[] = [];
      const methods: Record<string, RpcMethod> = { "/test.Test/Method": (call) => ({ onMessage: (message) => call.send(message), onEnd: () => call.end() }) };
      const admit = (peer: PeerCredentials): Promise<string | undefined> => {
        seen.push(peer);
        return Promise.resolve(seen.length === 1 ? "not the first" : undefined);
      };
      const server = await host.rpc.serve({ address: { path: "@weft/rpc" }, netns: a, methods, admit });
      // Nobody at home has such a socket.
      const home = host.rpc.connect({ address: server.address });
      assert.equal(await firstStatus(home), 14);
      home.close();
      assert.deepEqual(seen, []);
      await server.close();
    },
    "datagrams too": async ({ host }, { a, b }) => {
      const got: string[] = [];
      const server = await host.net.bind({ address: { ip: "10.0.0.2", port: 53 }, netns: b }, ({ bytes, from }) =>
        got.push(`${Buffer.from(bytes).toString()} ${from.ip}`),
      );
      const client = await host.net.bind({ address: { ip: "10.0.0.1", port: 0 }, netns: a }, () => undefined);
      client.send(Buffer.from("query"), server.address);
      for (let i = 0; i < 1_000 && got.length === 0; i += 1) await host.clock.sleep(1);
      assert.deepEqual(got, ["query 10.0.0.1"]);
      server.close();
      client.close();
    },
    "a sysctl is its namespace's own": async ({ host }, { a }) => {
      await host.netns.sysctl(a, "net.ipv4.ip_forward", "0");
      assert.equal(await host.netns.readSysctl(a, "net.ipv4.ip_forward"), "0");
      await host.netns.sysctl(a, "net.ipv4.ip_forward", "1");
      assert.equal(await host.netns.readSysctl(a, "net.ipv4.ip_forward"), "1");
      await assert.rejects(host.netns.readSysctl(a, "net.ipv4.no_such_thing"), { name: "HostError", code: "ENOENT", message: /no_such_thing/ });
      await assert.rejects(host.netns.sysctl(a, "net.ipv4.no_such_thing", "1"), { name: "HostError", code: "ENOENT", message: /no_such_thing/ });
    },
  };
  describe("namespaces and netlink", () => {
    for (const [name, run] of Object.entries(cases)) {
      test(name, { timeout: 30_000 }, async () => {
        const subject = await make();
        await subject.settle(
          (async () => {
            const joined = await join(subject);
            try {
              await run(subject, joined);
            } finally {
              await leave(subject, joined);
            }
          })(),
        );
        await subject.close();
      });
    }
  });
}
