/**
 * `weft why` against what really happens. In a running cluster, rounds of random policies and routes are applied, and random
 * requests are both asked about and made by probers in the pods. Every probe must end in one of the ways that the answer
 * gives; the same question asked of exported manifests alone must have the same answer. WEFT_TEST_SEED repeats a run.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ask } from "#cli/why/why.ts";
import type { Answer, Way } from "#cli/why/question.ts";
import type { World } from "#model/world.ts";
import { startLab, type Lab, type Seen } from "./why-lab.ts";
import { Draw } from "./why/draw.ts";
import { policiesOf } from "./why/policies.ts";
import { addressesOf, questionsOf, type Question } from "./why/questions.ts";

const isLong = process.env["WEFT_TEST_LONG"] === "1";
const seed = Number(process.env["WEFT_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = isLong ? 20 : 4;
const QUESTIONS = 60;
/** What is under way when a policy changes may still see the old one. */
const TRIES = 3;

function answerOf(world: World, { from, to, method, path, headers }: Question): Answer {
  return ask(world, { from, to, namespace: "default", method, path, headers });
}

/** undefined: the probe ended in one of the answer's ways. */
function disagreement(answer: Answer, question: Question, seen: Seen): string | undefined {
  if (answer.ways.some((way) => endsIn(way, question, seen))) return undefined;
  const told = answer.ways.map(({ verdict, target, effect }) => `${verdict} ${target} ${effect ?? ""}`.trim()).join(" | ");
  return `${question.from} -> ${question.to} ${question.method} ${question.path} ${JSON.stringify(question.headers)}\n    why: ${told}\n    seen: ${JSON.stringify(seen)}`;
}

function endsIn({ verdict, target, effect = "" }: Way, { protocol }: Question, { outcome, status, server }: Seen): boolean {
  // Whether anybody listens on a port that nobody declares only the application knows.
  if (verdict === "unknown") return true;
  const isFromApplication = outcome === "answer" && server !== undefined;
  if (verdict === "allowed" && effect === "") return isFromApplication && target.startsWith(`${server} (`) && (protocol !== "http" || status === 200);
  if (isFromApplication) return false;
  const [, code, slow] = /^(\d{3})( after .*)?$/.exec(effect) ?? [];
  // A probe does not wait as long as a proxy does for a connection that a policy swallows.
  if (code !== undefined) return (outcome === "answer" && String(status) === code) || (slow !== undefined && outcome === "no answer");
  switch (effect) {
    case "connection refused":
      return outcome === "refused";
    case "connection closed":
      return outcome === "closed";
    case "no answer":
      return outcome === "no answer";
    case "no such name":
      return outcome === "no such name" || outcome === "no answer";
    default:
      return effect.startsWith("connection closed after") && (outcome === "closed" || outcome === "no answer");
  }
}

describe(`weft why and what really happens (seed ${seed})`, () => {
  let lab: Lab;
  before(async () => {
    lab = await startLab(`t${process.pid}why`);
  });
  after(() => lab.stop());

  const draw = new Draw(seed);
  for (let round = 0; round < ROUNDS; round++) {
    test(`round ${round}: ${QUESTIONS} requests end as answered`, { timeout: 120_000 }, async (t) => {
      const policies = policiesOf(draw, round);
      await lab.apply(policies);
      t.after(() => lab.remove(policies));
      await lab.settled();
      const world = await lab.world();
      const pods = [...(world.Pod?.values() ?? [])];
      const questions = questionsOf(draw, QUESTIONS, addressesOf(pods, [...(world.Service?.values() ?? [])]));
      const answers = new Map(questions.map((question) => [question.id, answerOf(world, question)]));
      let open = questions;
      let problems: readonly string[] = [];
      for (let attempt = 0; attempt < TRIES && open.length > 0; attempt++) {
        const seen = await lab.probe(open);
        const checked = open.map((question) => {
          const answer = answers.get(question.id);
          const observed = seen.get(question.id);
          assert.ok(answer !== undefined && observed !== undefined);
          return { question, problem: disagreement(answer, question, observed) };
        });
        open = checked.flatMap(({ question, problem }) => (problem === undefined ? [] : [question]));
        problems = checked.flatMap(({ problem }) => problem ?? []);
      }
      assert.equal(
        problems.length,
        0,
        `seed ${seed}, round ${round}, ${problems.length} of ${QUESTIONS}:\n  ${problems.join("\n  ")}\nwith ${JSON.stringify(policies)}`,
      );
      const verdicts = Map.groupBy(answers.values(), ({ verdict }) => verdict);
      t.diagnostic([...verdicts].map(([verdict, of]) => `${of.length} ${verdict}`).join(", "));
    });
  }
});
