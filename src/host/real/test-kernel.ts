/** Runs inside namespaces of its own (kernel.test.ts starts it there): the contract, and what only a kernel can show. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { kernelContract } from "#host/contract.ts";
import type { Subject } from "#host/contract/subject.ts";
import { Tape } from "#host/contract/tape.ts";
import type { NflogPacket } from "#host/netlink.ts";
import { realHost } from "./real.ts";

async function make(): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), "weft-kernel-"));
  return { host: realHost(), folder, settle: (work) => work, close: () => rm(folder, { recursive: true, force: true }) };
}

kernelContract(make);

const RULES = `
table ip t {
  chain out {
    type nat hook output priority -100
    meta mark != 0x539 tcp dport 80 redirect to :15001
  }
  chain in {
    type filter hook input priority 0
    ct state new,established counter
    udp dport 99 log prefix "NetworkPolicy a/b " group 7 drop
  }
}
table ip6 t {
  chain out {
    type nat hook output priority -100
    meta mark != 0x539 tcp dport 80 redirect to :15002
  }
}
`;

test("redirect, NFLOG, capture and conntrack deletion work together in one namespace", { timeout: 20_000 }, async () => {
  const subject = await make();
  const { host, folder } = subject;
  const netns = `${folder}/ns`;
  await host.netns.create(netns);
  const session = host.netlink.open(netns);
  await session.addAddress("lo", "10.1.2.3/32");
  await session.addAddress("lo", "fd00:10::3/128");
  const applied = await host.processes.run(["nft", "-f", "-"], { netns, stdin: RULES });
  assert.equal(applied.code, 0, applied.stderr);

  const destinations: unknown[] = [];
  const listeners = [];
  for (const ip of ["0.0.0.0", "::"]) {
    const address = { ip, port: ip === "::" ? 15_002 : 15_001 };
    listeners.push(
      await host.net.listen({ address, netns, originalDestination: true }, (connection) => {
        destinations.push(connection.facts.originalDestination);
        connection.handle({ onData: () => undefined, onClose: () => undefined });
      }),
    );
  }
  const reach = async (address: { ip: string; port: number }, mark?: number): Promise<Tape> => {
    const tape = new Tape(host.clock);
    const client = host.net.connect({ address, netns, timeoutMs: 2_000, ...(mark === undefined ? {} : { mark }) }, tape);
    await tape.until((heard) => heard.connected + heard.closed > 0, "an answer");
    client.destroy(true);
    return tape;
  };
  await reach({ ip: "10.1.2.3", port: 80 });
  await reach({ ip: "10.1.2.3", port: 15_001 });
  await reach({ ip: "10.1.2.3", port: 15_002 });
  assert.deepEqual(destinations, [{ ip: "10.1.2.3", port: 80 }, undefined, undefined]);
  assert.equal((await reach({ ip: "10.1.2.3", port: 80 }, 0x539)).error?.code, "ECONNREFUSED");
  destinations.length = 0;
  await reach({ ip: "fd00:10::3", port: 80 });
  assert.deepEqual(destinations, [{ ip: "fd00:10::3", port: 80 }]);
  const transparent = await host.net.listen({ address: { ip: "203.0.113.1", port: 15_006 }, netns, transparent: true }, () => undefined);
  await transparent.close();

  const packets: NflogPacket[] = [];
  let frames = 0;
  const log = session.nflog(7, (packet) => packets.push(packet));
  const capture = session.capture("lo", () => (frames += 1));
  const sender = await host.net.bind({ address: { ip: "10.1.2.3", port: 0 }, netns }, () => undefined);
  sender.send(Buffer.from("dropped"), { ip: "10.1.2.3", port: 99 });
  sender.send(Buffer.from("unheard"), { ip: "10.1.2.3", port: 98 });
  for (let i = 0; i < 1_000 && (packets.length === 0 || frames < 2); i += 1) await host.clock.sleep(1);
  assert.equal(packets.length, 1);
  assert.equal(packets[0]?.prefix, "NetworkPolicy a/b ");
  assert.equal(packets[0]?.inLink, 1);
  assert.ok(Buffer.from(packets[0]?.payload ?? []).includes("dropped"));
  assert.ok(frames >= 2);

  const known = await session.connections();
  assert.ok(known.some(({ protocol, originalDestination }) => protocol === "udp" && originalDestination.ip === "10.1.2.3" && originalDestination.port === 98));
  assert.equal(await session.deleteConntrack({ protocol: "udp", originalDestination: { ip: "10.1.2.3", port: 1 } }), 0);
  assert.ok((await session.deleteConntrack({ protocol: "udp", originalDestination: { ip: "10.1.2.3", port: 98 } })) >= 1);
  assert.equal(await session.deleteConntrack({ protocol: "udp", originalDestination: { ip: "10.1.2.3", port: 98 } }), 0);

  log.close();
  capture.close();
  sender.close();
  for (const listener of listeners) await listener.close();
  session.close();
  await host.netns.remove(netns);
  await subject.close();
});
