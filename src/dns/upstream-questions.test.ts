/** CoreDNS' own questions about a Kubernetes zone, from ../shared/upstream, answered by our compilers and our server. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { compileNode } from "#compile/node/node.ts";
import { DEFAULT_SETTINGS } from "#compile/node/settings.ts";
import { objectKey, type KubeObject } from "#model/object.ts";
import { worldReader, type World, type WorldReader } from "#model/world.ts";
import { RCODES, TYPES, type ResourceRecord } from "#wire/dns/message.ts";
import { chainOf } from "./server.ts";
import { toQuery } from "#decide/name/query.ts";
import { ask, failure } from "./query.ts";

interface Case {
  readonly Qname: string;
  readonly Qtype: string;
  readonly Rcode: string;
  readonly Answer?: readonly string[];
  readonly Ns?: readonly string[];
  readonly Extra?: readonly string[];
}

/** Where Weft answers differently, and why: configurations of CoreDNS that Weft does not have. By table, or by its question. */
const DIFFERENT = new Map([
  [
    "handler_ignore_emptyservice_test.go:dnsEmptyServiceTestCases svcempty.testns.svc.cluster.local. A",
    "the option ignore empty_service: a Service without endpoints keeps its name",
  ],
  ["handler_pod_disabled_test.go:podModeDisabledCases", "names of pods are always answered (mode insecure)"],
  ["handler_pod_verified_test.go:podModeVerifiedCases 172-0-0-2.podns.pod.cluster.local. A", "names of pods are not verified (mode insecure)"],
  ["kubernetes_apex_test.go:kubeApexCases cluster.local. NS", "the name server is the cluster's DNS address, not CoreDNS' own"],
  ["handler_pod_verified_test.go:podModeVerifiedCases svcns.svc.cluster.local. A", "the fixture has no such namespace"],
]);

const folder = new URL("../../../shared/upstream/dns-questions/", import.meta.url);
const load = <T>(name: string) => JSON.parse(readFileSync(new URL(name, folder), "utf8")) as T;

if (!existsSync(folder)) {
  test("CoreDNS' questions", { skip: "NOT RUN: ../shared/upstream/dns-questions is missing" }, () => {});
} else {
  const { tables } = load<{ tables: Record<string, { cases: Case[] }> }>("cases.json");
  for (const [name, { cases }] of Object.entries(tables)) {
    const file = name.startsWith("reverse") ? "fixtures-reverse.json" : "fixtures.json";
    const world = worldOf(load<{ objects: KubeObject[] }>(file).objects);
    const settings = { ...DEFAULT_SETTINGS, serviceCIDR: "10.0.0.0/16" };
    const zone = compileNode(world, { node: "node-1", settings }).zone;
    const upstream = (key: string) =>
      key === "ext.interwebs.test" ? [{ name: "ext.interwebs.test", class: 1, ttlSeconds: 5, data: { type: "A", address: "1.2.3.4" } as const }] : [];
    const chain = chainOf(
      () => zone,
      ({ key }) => ({ ...failure("NOERROR"), answers: upstream(key) }),
    );
    for (const each of cases) {
      const id = `${name} ${each.Qname} ${each.Qtype}`;
      const reason = DIFFERENT.get(id) ?? DIFFERENT.get(name);
      test(`${each.Qname} ${each.Qtype} (${name})${reason === undefined ? "" : `, otherwise than CoreDNS: ${reason}`}`, async () => {
        const answer = await ask(chain, toQuery(each.Qname.replace(/[.]$/, ""), each.Qtype === "HINFO" ? 13 : TYPES[each.Qtype as keyof typeof TYPES]));
        const ours = { rcode: answer.rcode, answers: texts(answer.answers), authorities: texts(answer.authorities), additionals: texts(answer.additionals) };
        const theirs = {
          rcode: RCODES[each.Rcode as keyof typeof RCODES],
          answers: wanted(each.Answer),
          authorities: wanted(each.Ns),
          additionals: wanted(each.Extra),
        };
        if (reason === undefined) assert.deepEqual(ours, theirs);
        else assert.notDeepEqual(ours, theirs, "no difference is left: take the question off the list");
      });
    }
  }
}

function worldOf(objects: readonly KubeObject[]): WorldReader {
  const kinds = Map.groupBy(objects, ({ kind }) => kind);
  const world = Object.fromEntries([...kinds].map(([kind, list]) => [kind, new Map(list.map((object) => [objectKey(object), { spec: {}, ...object }]))]));
  return worldReader(world as World);
}

/** Serial, TTL and minimum are configuration. */
function wanted(records: readonly string[] | undefined): string[] {
  return (records ?? [])
    .map((text) =>
      text
        .replace(/^(\S+) \d+ IN (SOA \S+ \S+).*$/, "$1 IN $2")
        .replace(/^(\S+) \d+ IN/, "$1 IN")
        .replaceAll(/[.](?= |$)/g, ""),
    )
    .sort();
}

function texts(records: readonly ResourceRecord[]): string[] {
  return records.map(({ name, data }) => `${name} IN ${dataText(data)}`).sort();
}

function dataText(data: ResourceRecord["data"]): string {
  switch (data.type) {
    case "A":
    case "AAAA":
      return `${data.type} ${data.address}`;
    case "SRV":
      return `SRV ${data.priority} ${data.weight} ${data.port} ${data.target}`;
    case "CNAME":
    case "NS":
    case "PTR":
      return `${data.type} ${data.target}`;
    case "SOA":
      return `SOA ${data.primary} ${data.mailbox}`;
    case "TXT":
      return `TXT ${data.texts.map((text) => Buffer.from(text).toString()).join(" ")}`;
    default:
      return data.type;
  }
}
