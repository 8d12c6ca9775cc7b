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
import type { Answer, Question, Way } from "./question.ts";
import { describe, walkQuestion, type Outcome } from "./walk.ts";

export function answerWhy(world: World, question: Question): Answer {
  const reader = worldReader(world);
  const outcomes = walkQuestion(world, question);
  const verdict = commonVerdict(outcomes.map((outcome) => outcome.verdict));
  const ways = merged(outcomes);
  // Where ways differ, a way that is denied says more than one that is not.
  const shown = outcomes.toSorted((a, b) => rank(b, verdict) - rank(a, verdict) || b.share - a.share)[0];
  const hops = shown?.hops ?? [];
  const deciding = hops.findLast((each) => each.verdict !== "allowed");
  const hint = hintText(shown?.hint, deciding, question, reader);
  const { from } = question;
  const of = from.kind === "pod" ? workload(from.pod) : undefined;
  return {
    verdict,
    source: from.kind === "pod" ? describe(from.pod) : from.kind === "node" ? from.node : from.ip === undefined ? "outside" : `outside (${from.ip})`,
    target: shown?.target ?? question.to.host,
    ...(of?.proxy === undefined ? {} : { identity: of.spiffeId }),
    hops,
    ...(shown?.effect === undefined ? {} : { effect: shown.effect }),
    ...(hint === undefined ? {} : { hint }),
    ways,
    notes: notesOn(hops, reader),
  };
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
