import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { test } from "node:test";
import { FakeNft } from "./nft.ts";
import { diffTable } from "#wire/nft/diff.ts";
import { parseTables } from "#wire/nft/parse.ts";
import type { Chain, NamedMap, Table } from "#lib/nft-ruleset.ts";
import { inSet, is, isNot, notInSet } from "#lib/nft-ruleset.ts";
import { NftSyntaxError } from "#wire/nft/tokens.ts";
import { writeReplacement, writeTable } from "#wire/nft/write.ts";

const services: NamedMap = {
  name: "services",
  key: ["ip daddr", "meta l4proto", "th dport"],
  numbered: false,
  data: "verdict",
  elements: [
    { key: ["10.96.0.5", "tcp", "80"], value: { kind: "goto", chain: "n2" }, comment: "Service default/x spec.ports[0]" },
    { key: ["10.96.0.5", "udp", "53"], value: { kind: "goto", chain: "n2" } },
  ],
};
const endpoints: NamedMap = {
  name: "endpoints",
  key: ["ip daddr", "meta l4proto", "th dport"],
  numbered: true,
  data: "tcp endpoint",
  elements: [
    { key: ["10.96.0.5", "tcp", "80", "0"], value: ["10.244.0.5", "8080"], comment: "EndpointSlice default/x-1 endpoints[0]" },
    { key: ["10.96.0.5", "tcp", "80", "1"], value: ["10.244.1.5", "8080"] },
  ],
};
const n2: Chain = {
  name: "n2",
  rules: [
    {
      matches: [is("meta l4proto", "tcp")],
      statements: [{ kind: "dnat", fields: ["ip daddr", "meta l4proto", "th dport"], modulo: 2, map: "endpoints" }],
    },
  ],
};
const everything: Table = {
  family: "ip",
  name: "everything",
  sets: [
    { name: "addresses", key: ["ip daddr"], interval: true, elements: [{ key: ["10.96.0.0/16"], comment: "service range" }, { key: ["192.168.99.240"] }] },
    {
      name: "sources",
      key: ["iifname", "ether saddr", "ip saddr"],
      interval: false,
      elements: [{ key: ["weft0123456789a", "02:00:00:00:00:01", "10.244.0.5"] }],
    },
    { name: "empty", key: ["ip saddr"], interval: false, elements: [] },
  ],
  maps: [endpoints, services],
  chains: [
    n2,
    {
      name: "prerouting",
      base: { type: "nat", hook: "prerouting", priority: -100, policy: "accept" },
      rules: [
        { matches: [is("ip daddr", "10.96.0.10")], statements: [{ kind: "accept" }] },
        { matches: [], statements: [{ kind: "vmap", fields: ["ip daddr", "meta l4proto", "th dport"], map: "services" }] },
      ],
    },
    {
      name: "raw",
      base: { type: "filter", hook: "prerouting", priority: -300, policy: "accept" },
      rules: [
        {
          matches: [is("iifname", "weft*"), notInSet(["iifname", "ether saddr", "ip saddr"], "sources")],
          statements: [{ kind: "log", prefix: "weft spoof", group: 100 }, { kind: "drop" }],
          comment: "a pod sends only from its own address",
        },
        { matches: [inSet(["ip daddr"], "addresses"), is("meta l4proto", "tcp")], statements: [{ kind: "reject", with: "tcp reset" }] },
        { matches: [inSet(["ip daddr"], "addresses")], statements: [{ kind: "reject", with: "icmp type port-unreachable" }] },
        {
          matches: [is("ct state", "established", "related"), isNot("ip saddr", "10.1.0.0/16", "10.3.0.0/24"), is("th dport", "80", "8000-8100")],
          statements: [{ kind: "return" }],
        },
        { matches: [isNot("iifname", "lo")], statements: [{ kind: "jump", chain: "n3" }] },
      ],
    },
    { name: "n3", rules: [] },
    {
      name: "post",
      base: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" },
      rules: [{ matches: [is("oifname", "weft-vxlan")], statements: [{ kind: "masquerade" }] }],
    },
    {
      name: "out",
      base: { type: "nat", hook: "output", priority: -100, policy: "accept" },
      rules: [
        { matches: [is("meta mark", "0x539")], statements: [{ kind: "return" }] },
        { matches: [is("meta l4proto", "tcp")], statements: [{ kind: "redirect", port: 15001 }] },
      ],
    },
  ],
};

test("what is written is read back", () => {
  assert.deepEqual(parseTables(writeTable(everything)), [everything]);
});

for (const text of [
  "table ip x {",
  "table ip x { chain c { ip frag-off 1 accept } }",
  "table ip x { chain c { tcp dport 80 accept } }",
  "junk",
  'table ip x { chain c { accept } } "',
]) {
  test(`text that Weft never writes is refused: ${text}`, () => assert.throws(() => parseTables(text), NftSyntaxError));
}

test("nothing changes: nothing is sent", () => assert.equal(diffTable(everything, structuredClone(everything)), ""));

test("one endpoint more sends only what is new", () => {
  const element = { key: ["10.96.0.5", "tcp", "80", "2"], value: ["10.244.1.6", "8080"] };
  const text = diffTable(everything, { ...everything, maps: [{ ...endpoints, elements: [...endpoints.elements, element] }, services] });
  assert.equal(text, "add element ip everything endpoints { 10.96.0.5 . tcp . 80 . 2 : 10.244.1.6 . 8080 }\n");
});

const base = (chains: Chain[], maps: NamedMap[]): Table => ({ family: "ip", name: "t", sets: [], maps, chains });
const HISTORY: Table[] = [
  base([n2], [endpoints, services]),
  base(
    [{ ...n2, name: "n7" }],
    [endpoints, { ...services, elements: services.elements.map((e) => ({ ...e, value: { kind: "goto", chain: "n7" } as const })) }],
  ),
  base([], [{ ...services, elements: [] }]),
  everything,
  {
    ...everything,
    chains: everything.chains.map((chain) => ({ ...chain, rules: chain.rules.slice(0, 1) })),
    maps: everything.maps.map((map) => ({ ...map, elements: map.elements.slice(1) })),
  },
  {
    ...everything,
    sets: [{ name: "addresses", key: ["ip daddr"], interval: true, elements: [{ key: ["10.96.0.0/12"] }] }, ...everything.sets.slice(1, 2)],
    chains: everything.chains.filter((c) => c.name !== "n3" && c.name !== "raw"),
  },
  everything,
];

test("the fake takes every step too, and ends where a fresh start ends", async () => {
  const stepwise = new FakeNft();
  const fresh = new FakeNft();
  let before: Table | undefined;
  for (const after of HISTORY) {
    if (before !== undefined && before.name !== after.name) await stepwise.apply(diffTable(before, undefined));
    await stepwise.apply(diffTable(before?.name === after.name ? before : undefined, after));
    before = after;
  }
  await fresh.apply(writeReplacement(everything));
  // Elements and chains stand in the order they were added.
  const lines = (text: string) => text.split("\n").sort();
  assert.deepEqual(lines(await stepwise.list()), lines(await fresh.list()));
});

test("the fake refuses what the kernel refuses", async () => {
  const nft = new FakeNft();
  await assert.rejects(nft.apply("delete table ip nothing\n"), /there is no such table/);
  await assert.rejects(nft.apply(writeTable({ ...everything, chains: everything.chains.filter(({ name }) => name !== "n3") })), /there is no chain n3/);
  await assert.rejects(
    nft.apply(writeTable({ ...everything, maps: [services, { ...endpoints, elements: [...endpoints.elements, ...endpoints.elements] }] })),
    /exists twice/,
  );
});

const canUnshare = spawnSync("unshare", ["-Urn", "nft", "list", "ruleset"]).status === 0;
test("the kernel takes every step of a history and ends where a fresh start ends", { skip: canUnshare ? false : "needs unshare and nft" }, () => {
  const steps: string[] = [];
  let before: Table | undefined;
  for (const after of HISTORY) {
    if (before !== undefined && before.name !== after.name) steps.push(diffTable(before, undefined));
    steps.push(diffTable(before?.name === after.name ? before : undefined, after));
    before = after;
  }
  const script = (parts: string[]) => `set -e\n${parts.map((part) => `nft -f - <<'END'\n${part}\nEND\n`).join("")}nft list ruleset\n`;
  const run = (parts: string[]) => execFileSync("unshare", ["-Urn", "sh", "-c", script(parts)], { encoding: "utf8" });
  assert.equal(sorted(run(steps)), sorted(run([writeReplacement(everything)])));
});

/** The kernel lists chains in the order they were made. */
function sorted(ruleset: string): string {
  return ruleset
    .split(/\n\n|\{\n(?=\t[a-z])|\n\}/)
    .map((part) => part.trim())
    .sort()
    .join("\n\n");
}
