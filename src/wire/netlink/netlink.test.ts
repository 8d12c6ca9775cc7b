/** Against bytes: answers recorded from a kernel (6.18), and requests as iproute2 6.1 sends them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { newAddress, readAddress } from "./address.ts";
import { AttributeWriter, macBytes, readAttributes } from "./bytes.ts";
import { deleteConntrack, readConntrack } from "./conntrack.ts";
import { changeLink, newLink, readLink } from "./link.ts";
import { encodeRequest, readReplies } from "./message.ts";
import type { NetlinkRequest } from "./message.ts";
import { newNeighbour, readNeighbour } from "./neighbour.ts";
import { readPacket } from "./nflog.ts";
import { deleteRoute, newRoute, readRoute } from "./route.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

/** A request as its fixed part and its attributes, whose order means nothing. */
function taken(request: NetlinkRequest, fixed: number): { type: number; flags: number; fixed: string; attributes: Map<number, string> } {
  const payload = Buffer.from(request.payload);
  const attributes = [...readAttributes(payload.subarray(fixed))].sort(([a], [b]) => a - b);
  return {
    type: request.type,
    flags: request.flags | 1,
    fixed: payload.toString("hex", 0, fixed),
    attributes: new Map(attributes.map(([type, value]) => [type, value.toString("hex")])),
  };
}

test("requests carry what iproute2's carry", () => {
  const cases: readonly {
    name: string;
    request: NetlinkRequest;
    fixed: number;
    type: number;
    flags: number;
    header: string;
    attributes: [number, string][];
  }[] = [
    {
      name: "ip link set v0 up",
      request: changeLink({ index: 5, up: true }),
      fixed: 16,
      type: 16,
      flags: 0x5,
      header: "00000000050000000100000001000000",
      attributes: [],
    },
    {
      name: "ip addr add 10.0.0.1/32 dev v0",
      request: newAddress({ linkIndex: 5, ip: "10.0.0.1", prefix: 32 }),
      fixed: 8,
      type: 20,
      flags: 0x605,
      header: "0220000005000000",
      attributes: [
        [1, "0a000001"],
        [2, "0a000001"],
      ],
    },
    {
      name: "ip neigh replace 10.0.0.9 lladdr 0a:00:00:00:00:09 dev v0 nud permanent",
      request: newNeighbour({ linkIndex: 5, family: "ip", ip: "10.0.0.9", mac: "0a:00:00:00:00:09", permanent: true }),
      fixed: 12,
      type: 28,
      flags: 0x505,
      header: "020000000500000080000000",
      attributes: [
        [1, "0a000009"],
        [2, "0a0000000009"],
      ],
    },
    {
      name: "bridge fdb replace 0a:00:00:00:00:55 dev vx dst 10.0.0.2",
      request: newNeighbour({ linkIndex: 6, family: "bridge", ip: "10.0.0.2", mac: "0a:00:00:00:00:55", permanent: true }),
      fixed: 12,
      type: 28,
      flags: 0x505,
      header: "0700000006000000c0000200",
      attributes: [
        [1, "0a000002"],
        [2, "0a0000000055"],
      ],
    },
  ];
  for (const { name, request, fixed, type, flags, header, attributes } of cases) {
    assert.deepEqual(taken(request, fixed), { type, flags, fixed: header, attributes: new Map(attributes) }, name);
  }
});

test("a veth and a VXLAN are asked for with the attributes that iproute2 uses", () => {
  const veth = newLink({ name: "v0", mtu: 1450, mac: "0a:00:00:00:00:01" }, { kind: "veth", peer: { name: "eth0" } });
  const asked = readAttributes(Buffer.from(veth.payload).subarray(16));
  assert.equal(asked.get(3)?.toString("latin1"), "v0\u0000");
  assert.equal(asked.get(4)?.readUInt32LE(0), 1450);
  const info = readAttributes(asked.get(18) ?? Buffer.alloc(0));
  assert.equal(
    info
      .get(2)
      ?.toString("hex")
      .replace(/^(....)0180/, "$10100"),
    hex("20000100 00000000000000000000000000000000 09000300657468300000 0000").toString("hex"),
  );

  const vxlan = newLink({ name: "vx" }, { kind: "vxlan", vni: 42, port: 4789, local: "192.168.99.10", deviceIndex: 3, learning: false });
  const data = readAttributes(readAttributes(readAttributes(Buffer.from(vxlan.payload).subarray(16)).get(18) ?? Buffer.alloc(0)).get(2) ?? Buffer.alloc(0));
  const expected = readAttributes(hex("0800030003000000 080001002a000000 08000400c0a8630a 0500070000000000 06000f0012b50000"));
  assert.deepEqual(data, expected);
});

test("routes: replaced with what was asked, deleted whatever made them", () => {
  const route = {
    destination: "10.1.0.0/24",
    gateway: "10.9.9.9",
    linkIndex: 5,
    source: undefined,
    scope: undefined,
    onlink: true,
    table: undefined,
    metric: undefined,
  };
  const added = taken(newRoute(route), 12);
  assert.equal(added.fixed, "02180000fe04000104000000");
  assert.deepEqual(added.attributes.get(5), "0a090909");
  assert.equal(added.flags, 0x505);
  const deleted = taken(deleteRoute({ ...route, gateway: undefined, onlink: false }), 12);
  assert.equal(deleted.fixed, "02180000fe00ff0100000000");
});

test("recorded answers are read", () => {
  const [address] = readReplies(
    hex(
      "4c000000140002000f000000e10900000218800003000000 080001000a000001 080002000a000001 0700030076300000 0800080080000000 14000600ffffffffffffffff000a0e00000a0e00",
    ),
  );
  assert.ok(address?.kind === "data");
  assert.equal(address.sequence, 15);
  assert.deepEqual(readAddress(address.type, address.payload), { linkIndex: 3, ip: "10.0.0.1", prefix: 24 });

  const routes = readReplies(
    hex(`440000001800020011000000e109000002100000fe04000100000000 08000f00fe000000 080001000a090000 0800060007000000 080005000a000002 0800040003000000
      3c0000001800020011000000e109000002200000ff02fe0200000000 08000f00ff000000 080001000a000001 080007000a000001 0800040003000000`),
  );
  const read = routes.map((reply) => (reply.kind === "data" ? readRoute(reply.type, reply.payload) : "?"));
  const metric = { destination: "10.9.0.0/16", gateway: "10.0.0.2", linkIndex: 3, source: undefined, scope: "global", onlink: false, table: 254, metric: 7 };
  assert.deepEqual(read, [metric, undefined], "routes of the kernel's local table are left out");

  const [neighbour] = readReplies(
    hex(
      "4c0000001c00020014000000e109000002000000030000008000000108000100 0a000063 0a0002000a0000000099 0000 0800040000000000 140003000b0000000b0000000b00000000000000",
    ),
  );
  assert.ok(neighbour?.kind === "data");
  assert.deepEqual(readNeighbour(neighbour.type, neighbour.payload), {
    linkIndex: 3,
    family: "ip",
    ip: "10.0.0.99",
    mac: "0a:00:00:00:00:99",
    permanent: true,
  });

  const [link] = readReplies(
    hex(`74000000100002000e000000e1090000 00000100050000004310010000000000 0700030076300000 08000400aa050000 08000a0003000000 0a0001000a00000000010000
      10001200 0900010076657468 00000000`),
  );
  assert.equal(link, undefined, "a message that is cut off is not read");
});

test("a link is read with its kind, its master and whether it is up", () => {
  const header = hex("00000100 05000000 43100100 00000000");
  const payload = new AttributeWriter()
    .raw(header)
    .text(3, "v0")
    .u32(4, 1450)
    .u32(10, 3)
    .bytes(1, macBytes("0a:00:00:00:00:01"))
    .nested(18, (info) => info.text(1, "veth"))
    .finish();
  assert.deepEqual(readLink(16, payload), { index: 5, name: "v0", kind: "veth", mac: "0a:00:00:00:00:01", mtu: 1450, up: true, masterIndex: 3 });
  assert.equal(readLink(17, payload), undefined);
});

test("acknowledgements, and refusals in the kernel's own words", () => {
  const ack = hex("240000000200000119000000e109000000000000 28000000100005001900000000000000");
  assert.deepEqual(readReplies(ack), [{ kind: "result", sequence: 25, errno: 0, message: undefined }]);
  const refusal = hex(
    "440000000200000317000000e10900009bffffff 3c000000180005051700000000000000 200001004e657874686f702068617320696e76616c6964206761746577617900",
  );
  assert.deepEqual(readReplies(refusal), [{ kind: "result", sequence: 23, errno: 101, message: "Nexthop has invalid gateway" }]);
  assert.deepEqual(readReplies(hex("14000000030012000e000000e109000000000000")), [{ kind: "done", sequence: 14, errno: 0, isTorn: true }]);
});

test("a conntrack entry is read, and deleted by its own tuple and id", () => {
  const [reply] = readReplies(
    hex(`a400000000010200010000008c21c7a002000000 34000180 14000180080001007f000001080002007f000001 1c000280050001001100000006000200138800000600030000620000
      34000280 14000180080001007f000001080002007f000001 1c000280050001001100000006000200006200000600030013880000
      0800030000000008 0800080000000000 08000c00d75a25be 08000b0000000001 080007000000001d`),
  );
  assert.ok(reply?.kind === "data");
  const entry = readConntrack(reply.type, reply.payload);
  assert.ok(entry);
  assert.equal(entry.protocol, 17);
  assert.deepEqual(entry.original, { source: { ip: "127.0.0.1", port: 5000 }, destination: { ip: "127.0.0.1", port: 98 } });
  assert.deepEqual(entry.reply.source, { ip: "127.0.0.1", port: 98 });
  const request = encodeRequest(deleteConntrack(entry), 2);
  assert.equal(
    request.toString("hex"),
    hex(`5000000002010500020000000000000002000000 34000180 14000180080001007f000001080002007f000001 1c000280050001001100000006000200138800000600030000620000
      08000c00d75a25be`).toString("hex"),
  );
});

test("a logged packet is read with its prefix and links", () => {
  const [reply] = readReplies(
    hex(`a400000000040000000000000000000002000007 0800010008000100 09000a0077687920 00000000 0800040000000001 0800020000000001 1000080000060000 0000000000000000
      06000f0003040000 06001100000e0000 1200100000000000000000000000000008000000 14000300000000006b01b8f300000000000e020d
      220009004500001e246f40004011185e7f0000017f00000113880063000afe1d68690000`),
  );
  assert.ok(reply?.kind === "data");
  const packet = readPacket(reply.type, reply.payload);
  assert.deepEqual({ ...packet, payload: packet?.payload.toString("latin1", 28) }, { group: 7, prefix: "why ", inLink: 1, outLink: undefined, payload: "hi" });
});

test("bad names, addresses and MACs are refused before the kernel sees them", () => {
  assert.throws(() => newLink({ name: "a-name-that-is-too-long" }, { kind: "bridge" }), /not a link name/);
  assert.throws(() => newLink({ name: "v0", mac: "zz" }, { kind: "bridge" }), /not a MAC address/);
  assert.throws(() => newAddress({ linkIndex: 1, ip: "10.0.0", prefix: 8 }), /not an IP address/);
});

test("every truncation of an answer fails cleanly", () => {
  const whole = hex(
    "4c000000140002000f000000e10900000218800003000000 080001000a000001 080002000a000001 0700030076300000 0800080080000000 14000600ffffffffffffffff000a0e00000a0e00",
  );
  for (let length = 0; length < whole.length; length += 1) assert.deepEqual(readReplies(whole.subarray(0, length)), []);
  for (let length = 0; length < whole.length - 16; length += 1) readAddress(20, whole.subarray(16, 16 + length));
});
