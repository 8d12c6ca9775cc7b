/**
 * Pods that are guarded from their first moment: each listens, and tries to get out, at once, while another pod outside the mesh
 * knocks at every address that a new pod may get. What is not guarded gets through both ways, so both would tell. What a meshed
 * pod says to another one is looked for on the wire between nodes: there it must never stand in the clear.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { captureNodes } from "#tools/kubernetes/demo-world.ts";
import type { KubernetesCluster } from "#tools/kubernetes/cluster.ts";
import type { Pod } from "#model/core.ts";
import { formatIp, ip } from "#lib/ip.ts";
import { BEFORE, birthplaceOf, BIRTHPLACES, isMeshed, kindsOf, newbornPod, shut, type Born } from "./newborn-pods.ts";
import { hostOf, MESH, PLAIN, podOf } from "./manifests.ts";
import { eventually } from "../on-kubernetes.ts";
import { lastSaid, type Attempts, type Said } from "./said.ts";
import type { FaultWorld } from "./world.ts";

/** Addresses on each node, from the first that no pod has: enough for those who are born, and for some that are taken meanwhile. */
const KNOCKED_AT = 16;
const READY_MS = 300_000;
const SHOWN_MS = 90_000;
/** After they are Ready: something that came late would still be seen. */
const WATCH_MS = 5000;
const NEVER: Attempts = { tried: 0, connected: 0, echoed: 0 };

/** What is known of one of them in the end. */
interface Evidence {
  /** By who scans. */
  readonly knocked: Attempts;
  readonly own: Said | undefined;
  /** Of its container before the proxy. */
  readonly before: Said | undefined;
  /** On other nodes, in the mesh, for everybody. */
  readonly open: readonly string[];
  /** For others than it. */
  readonly guarded: readonly string[];
}

/** Answers what passed that must not. `meanwhile` happens when the first of them start. */
export async function leaksOfNewborns(world: FaultWorld, round: string, meanwhile: () => Promise<void>): Promise<readonly string[]> {
  try {
    return await leaksOf(world, round, meanwhile);
  } finally {
    for (const namespace of BIRTHPLACES) await world.cluster.kubectl("-n", namespace, "delete", "pod", "--wait=false", "-l", `round=${round}`);
  }
}

async function leaksOf(world: FaultWorld, round: string, meanwhile: () => Promise<void>): Promise<readonly string[]> {
  const { cluster, nodes } = world;
  const pod = (name: string, node: string, args: readonly string[]): object => podOf({ namespace: PLAIN, name, node, labels: { round }, args });
  // A node gives the address after the last one: who comes now tells where the next will be.
  await world.apply([...shut(world.guards), ...nodes.map((node) => pod(`first-${round}-${node}`, node, ["serve"]))]);
  await allReady(cluster, round);
  const before = await addressesOf(cluster);
  const ranges = nodes.flatMap((node) => [after(before.get(`${PLAIN}/first-${round}-${node}`)), String(KNOCKED_AT)]);
  const scanner = `scans-${round}`;
  await world.apply([pod(scanner, nodes[0] ?? "", ["scan", ...ranges])]);
  await allReady(cluster, round);
  const outside = nodes.map((node) => before.get(`${PLAIN}/intrudes-${node}`) ?? "");
  const guarded = nodes.map((node) => hostOf(`guarded-${node}`, MESH));
  const openTo = (own: string): readonly string[] => nodes.filter((node) => node !== own).map((node) => hostOf(`open-${node}`, MESH));
  const born = nodes.flatMap((node) =>
    kindsOf(world.guards).flatMap(([kind, count]) => Array.from({ length: count }, (_, i): Born => ({ kind, name: `${kind}-${round}-${i}-${node}`, node }))),
  );
  const wire = captureNodes(cluster) ?? assert.fail("what travels between nodes can be seen");
  const made = await Promise.all(
    born.map((each) => newbornPod(cluster, each, { round, hosts: [...outside, ...(isMeshed(each.kind) ? [...openTo(each.node), ...guarded] : [])] })),
  );
  await world.apply(made);
  await meanwhile();
  await allReady(cluster, round);
  const addresses = await addressesOf(cluster);
  const judge = async (): Promise<{ readonly missing: readonly string[]; readonly leaks: readonly string[] }> => {
    const said = await lastSaidBy(cluster, `round=${round}`);
    const scanned = said.get(`${PLAIN}/${scanner}`)?.attempts ?? {};
    const early = await lastSaid(cluster, birthplaceOf("early"), `round=${round},newborn=early`, BEFORE);
    const all = born.map((each) => {
      const key = `${birthplaceOf(each.kind)}/${each.name}`;
      const knocked = scanned[addresses.get(key) ?? ""] ?? NEVER;
      const evidence = { knocked, own: said.get(key), before: early.get(key), open: openTo(each.node), guarded };
      return { missing: notShown(each, evidence), leaks: leaks(each, evidence) };
    });
    return { missing: all.flatMap(({ missing }) => missing), leaks: all.flatMap((each) => each.leaks) };
  };
  // When those get through that may, what is open would have been found.
  await eventually(judge, ({ missing }) => missing.length === 0, SHOWN_MS);
  await sleep(WATCH_MS);
  const frames = (await wire.finish()).map((frame) => Buffer.from(frame));
  const found = await judge();
  return [...found.missing, ...found.leaks, ...born.flatMap((each) => onTheWire(each, openTo(each.node), frames))];
}

/** What must have happened, or nothing is proved. */
function notShown({ kind, name }: Born, { knocked, own, before, open }: Evidence): readonly string[] {
  const attempts = own?.attempts ?? {};
  const calls = Object.values(attempts);
  const lines: string[] = [];
  if (knocked.tried === 0) lines.push(`nobody knocked at ${name}: it has an address that was not expected`);
  if (calls.length === 0 || calls.some(({ tried }) => tried === 0)) lines.push(`${name} did not try to get out`);
  if (kind === "open" && !(knocked.echoed > 0 && calls.every(({ echoed }) => echoed > 0)))
    lines.push(
      `${name}, which nothing guards, did not get through: nothing was shown; knocked at ${JSON.stringify(knocked)}, tried ${JSON.stringify(attempts)}`,
    );
  if (kind === "meshed" || kind === "uncaught" || kind === "early")
    for (const host of open)
      if ((attempts[host]?.echoed ?? 0) === 0) lines.push(`${name} did not get through to ${host}, which is open to it: nothing was shown`);
  if (kind === "early" && (before === undefined || Object.values(before.attempts).some(({ tried }) => tried === 0)))
    lines.push(`${name} did not try to get out before its proxy`);
  return lines;
}

function leaks({ kind, name }: Born, { knocked, own, before, guarded }: Evidence): readonly string[] {
  const attempts = own?.attempts ?? {};
  const lines: string[] = [];
  const noneOf = (what: string, said: Said | undefined, count: "connected" | "echoed", hosts: readonly string[]): void => {
    for (const host of hosts) {
      const now = said?.attempts[host] ?? NEVER;
      const at = count === "connected" ? now.connectedAt : now.echoedAt;
      if (now[count] > 0) lines.push(`${what} got out to ${host} ${now[count]} times, at last at ${at ?? "?"}`);
    }
  };
  // A proxy takes any connection, and decides then.
  if (kind === "closed" || kind === "sealed") {
    if (knocked.connected > 0) lines.push(`${name} was reached ${knocked.connected} times, at last at ${knocked.connectedAt ?? "?"}`);
    noneOf(name, own, kind === "closed" ? "connected" : "echoed", Object.keys(attempts));
  }
  if (kind === "meshed" || kind === "early") {
    if (knocked.echoed > 0) lines.push(`the application of ${name} was reached ${knocked.echoed} times, at last at ${knocked.echoedAt ?? "?"}`);
    noneOf(name, own, "echoed", guarded);
  }
  if (kind === "early" && before !== undefined) {
    if (before.arrived > 0) lines.push(`${name} was reached ${before.arrived} times before its proxy`);
    noneOf(`${name} before its proxy`, before, "connected", Object.keys(before.attempts));
  }
  return lines;
}

/** What it said to its peers of the mesh is in no frame, but for the one whose traffic goes past its proxy. */
function onTheWire({ kind, name }: Born, open: readonly string[], frames: readonly Buffer[]): readonly string[] {
  if (!isMeshed(kind)) return [];
  const names = kind === "early" ? [name, `${name}.${BEFORE}`] : [name];
  return names.flatMap((who) =>
    open.flatMap((host) => {
      const seen = frames.filter((frame) => frame.includes(`${who} to ${host} `)).length;
      if (kind === "uncaught") return seen > 0 ? [] : [`nobody saw what ${who} said to ${host} in the clear: nothing was shown`];
      return seen > 0 ? [`${who} spoke to ${host} in the clear: ${seen} frames`] : [];
    }),
  );
}

async function lastSaidBy(cluster: KubernetesCluster, label: string): Promise<ReadonlyMap<string, Said>> {
  const all = await Promise.all(BIRTHPLACES.map((namespace) => lastSaid(cluster, namespace, label)));
  return new Map(all.flatMap((each) => [...each]));
}

async function allReady(cluster: KubernetesCluster, round: string): Promise<void> {
  for (const namespace of BIRTHPLACES) {
    const { stdout } = await cluster.kubectl("-n", namespace, "get", "pod", "-l", `round=${round}`, "-o", "name");
    if (stdout.trim() === "") continue;
    const wait = ["kubectl", "-n", namespace, "wait", "--for=condition=Ready", "pod", "-l", `round=${round}`, `--timeout=${READY_MS / 1000}s`] as const;
    const { code, stderr } = await cluster.run(wait, { timeoutMs: READY_MS + 5000 });
    assert.equal(code, 0, `pods of ${round} in ${namespace} are Ready: ${stderr}`);
  }
}

/** By "namespace/name". */
async function addressesOf(cluster: KubernetesCluster): Promise<ReadonlyMap<string, string>> {
  const { items } = JSON.parse(await cluster.get("get", "pods", "-A", "-o", "json")) as { readonly items: readonly Pod[] };
  return new Map(
    items.flatMap(({ metadata, status }) => (status?.podIP === undefined ? [] : [[`${metadata.namespace ?? ""}/${metadata.name}`, status.podIP]])),
  );
}

function after(address: string | undefined): string {
  assert.ok(address, "it has an address");
  const { family, value } = ip(address);
  return formatIp({ family, value: value + 1n });
}
