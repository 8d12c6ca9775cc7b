/** One answer from all the ways that a request may take. */
import { workload } from "#compile/mesh/workload.ts";
import { ingressGateway } from "#compile/mesh/settings.ts";
import { findingsOf } from "#compile/status/status.ts";
import { formatFinding } from "#compile/status/finding.ts";
import { commonVerdict, type Hop } from "#decide/why/answer.ts";
import { KINDS, type KindId } from "#model/kinds.ts";
import { formatProvenance } from "#model/provenance.ts";
import { worldReader, type World, type WorldReader } from "#model/world.ts";
import { hintText } from "./hints.ts";
import type { WhySettings } from "./network.ts";
import type { Answer, Question, Way } from "./question.ts";
import { describe, walkQuestion, type Outcome } from "./walk.ts";

/** `settings`: what the cluster's nodes are told beside the World. */
export function answerWhy(world: World, question: Question, settings: WhySettings): Answer {
  const reader = worldReader(world);
  const outcomes = walkQuestion(world, question, settings);
  const verdict = commonVerdict(outcomes.map((outcome) => outcome.verdict));
  const ways = merged(outcomes);
  // Where ways differ, a way that is denied says more than one that is not.
  const shown = outcomes.toSorted((a, b) => rank(b, verdict) - rank(a, verdict) || b.share - a.share)[0];
  const hops = (shown?.hops ?? []).map((each) => (each.verdict === "denied" ? withRule(each, reader) : each));
  const target = shown?.target ?? question.to.host;
  const hint = hintText({ hint: shown?.hint, hops, target, question }, reader);
  const { from } = question;
  const of = from.kind === "pod" ? workload(from.pod) : undefined;
  return {
    verdict,
    source: from.kind === "pod" ? describe(from.pod) : from.kind === "node" ? from.node : from.ip === undefined ? "outside" : `outside (${from.ip})`,
    target,
    ...(of?.proxy === undefined ? {} : { identity: of.spiffeId }),
    hops,
    ...(shown?.effect === undefined ? {} : { effect: shown.effect }),
    ...(hint === undefined ? {} : { hint }),
    ways,
    notes: notesOn(hops, reader),
  };
}

/** What the rule of a policy asks for, as it is written: so that nobody needs to look it up. */
function withRule(denied: Hop, world: WorldReader): Hop {
  const { by } = denied;
  const index = by?.kind === "AuthorizationPolicy" ? /^spec\.rules\[(\d+)\]$/.exec(by.field)?.[1] : undefined;
  const rule = index === undefined ? undefined : world.get("AuthorizationPolicy", `${by?.namespace ?? ""}/${by?.name ?? ""}`)?.spec?.rules?.[Number(index)];
  if (rule === undefined || Object.keys(rule).length === 0) return denied;
  const all = [
    ...(rule.from ?? []).flatMap(({ source = {} }, i) => listed(source, `from[${i}]`)),
    ...(rule.to ?? []).flatMap(({ operation = {} }, i) => listed(operation, `to[${i}]`)),
    ...(rule.when ?? []).map(
      ({ key, values, notValues }, i) => `when[${i}] ${key} ${values === undefined ? "not " : ""}${JSON.stringify(values ?? notValues ?? [])}`,
    ),
  ];
  const which = denied.text.endsWith(" rules") ? "; the nearest" : ", which";
  return { ...denied, text: `${denied.text}${which} asks for ${all.join("; ")}` };
}

function listed(fields: object, path: string): readonly string[] {
  return Object.entries(fields).map(([name, values]) => `${path}.${name} = ${JSON.stringify(values)}`);
}

function rank(outcome: Outcome, verdict: Answer["verdict"]): number {
  if (outcome.verdict === verdict) return 2;
  return outcome.verdict === "denied" ? 1 : 0;
}

/** Equal ends are one; the likeliest comes first. */
function merged(outcomes: readonly Outcome[]): readonly Way[] {
  const ways = new Map<string, Way>();
  for (const { share, verdict, target, effect } of outcomes) {
    const key = `${verdict} ${target} ${effect ?? ""}`;
    const before = ways.get(key);
    ways.set(key, { share: (before?.share ?? 0) + share, verdict, target, ...(effect === undefined ? {} : { effect }) });
  }
  return [...ways.values()]
    .map((way) => ({ ...way, share: Math.round(way.share * 1e6) / 1e6 }))
    .sort((a, b) => b.share - a.share || (a.target < b.target ? -1 : 1));
}

function isKindId(kind: string): kind is KindId {
  return kind in KINDS;
}

/** What the objects on the way ask for in vain: the reader would look for its effect. */
function notesOn(hops: readonly Hop[], world: WorldReader): readonly string[] {
  const objects = new Map(hops.flatMap(({ by }) => (by === undefined ? [] : [[formatProvenance({ ...by, field: "" }), by] as const])));
  return [...objects].flatMap(([name, { kind, namespace, name: own }]) => {
    // The gateway's own Service says http2, as Istio's does, and its proxy is no sidecar.
    if (!isKindId(kind) || (kind === "Service" && own === ingressGateway.service && namespace === ingressGateway.namespace)) return [];
    const object = world.get(kind, namespace === undefined ? own : `${namespace}/${own}`);
    if (object === undefined) return [];
    return findingsOf(kind, object, world)
      .filter(({ about }) => about === "unsupported" || about === "conflict")
      .map((finding) => `${name} ${formatFinding(finding)}`);
  });
}
