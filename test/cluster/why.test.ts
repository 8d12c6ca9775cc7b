/**
 * `weft why` against what really happens. In a running cluster, rounds of random policies and routes are applied, and random
 * requests are both asked about and made by probers in the pods. Every probe must end in one of the ways that the answer
 * gives, single hops must agree with access logs, `x-weft-why` and `weft flows`, and manifests alone must give the same
 * answer. WEFT_TEST_SEED repeats a run.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { worldOfFiles } from "#cli/why/world.ts";
import type { Answer, Way } from "#cli/why/question.ts";
import { ask } from "#cli/why/why.ts";
import { realHost } from "#host/real/real.ts";
import type { KubeObject } from "#model/object.ts";
import { formatProvenance } from "#model/provenance.ts";
import type { World } from "#model/world.ts";
import { startLab, type Lab, type Seen } from "./why-lab.ts";
import { claimsOf, requestId, type Claim } from "./why/claims.ts";
import { Draw } from "./why/draw.ts";
import { policiesOf } from "./why/policies.ts";
import { addressesOf, questionsOf, type Addresses, type Question } from "./why/questions.ts";
import { gatewayAt, standing } from "./why/topology.ts";

const isLong = process.env["WEFT_TEST_LONG"] === "1";
const seed = Number(process.env["WEFT_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = isLong ? 20 : 3;
const QUESTIONS = 60;
/** What is under way when a policy changes may still see the old one. */
const TRIES = 3;
const ROUND_MS = 120_000;

function answerOf(world: World, { from, to, method, path, headers }: Question): Answer {
  return ask(world, { from, to, namespace: "default", method, path, headers });
}

function shown({ from, to, method, path, headers }: Question): string {
  return `${from} -> ${to} ${method} ${path} ${JSON.stringify(headers)}`;
}

/** undefined: the probe ended in one of the answer's ways. */
function disagreement(answer: Answer, question: Question, seen: Seen): string | undefined {
  if (answer.ways.some((way) => endsIn(way, question, seen))) return undefined;
  const told = answer.ways.map(({ verdict, target, effect }) => `${verdict} ${target} ${effect ?? ""}`.trim()).join(" | ");
  return `${shown(question)}\n    why: ${told}\n    seen: ${JSON.stringify(seen)}`;
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

/** The World that the same manifests make without a cluster. */
async function worldWithout(objects: readonly KubeObject[]): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "weft-why-"));
  try {
    await writeFile(join(folder, "all.json"), JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
    const { world, ignored } = await worldOfFiles(realHost(), [folder]);
    assert.deepEqual(ignored, []);
    return world;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function addressesIn(world: World): Addresses {
  return addressesOf([...(world.Pod?.values() ?? [])], [...(world.Service?.values() ?? [])]);
}

/** The same question where everything has other addresses. undefined: what it is about only a cluster knows. */
function moved(question: Question, live: Addresses, imagined: Addresses): Question | undefined {
  // In files every pod is ready.
  if (/^late\b/.test(question.host) || question.host === live.pods.get("beta/late") || question.host === live.services.get("beta/late")) return undefined;
  const pairs: [string, string | undefined][] = [
    [live.gateway, imagined.gateway],
    [live.balancer, imagined.balancer],
    ...[...live.pods].map(([key, address]): [string, string | undefined] => [address, imagined.pods.get(key)]),
    ...[...live.services].map(([key, address]): [string, string | undefined] => [address, imagined.services.get(key)]),
  ];
  const host = new Map(pairs).get(question.host) ?? question.host;
  return { ...question, host, to: question.to.replace(question.host, host) };
}

/** An answer without what is different in every cluster: addresses, and names of what controllers make. */
function essence({ verdict, effect, hops, ways }: Answer): unknown {
  const nameOf = (text: string): string => text.replace(/istio-ingressgateway-\S+-\S+( \(.*\))?/, "the gateway").replace(/^\d+\.\d+\.\d+\.\d+/, "an address");
  return {
    verdict,
    effect,
    ways: ways.map((way) => ({ ...way, target: nameOf(way.target) })).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
    hops: hops.map(({ hop, known, verdict: of, by }) => [
      hop,
      known,
      of,
      by === undefined || by.kind === "EndpointSlice" ? by?.kind : nameOf(formatProvenance(by)),
    ]),
  };
}

describe(`weft why and what really happens (seed ${seed})`, () => {
  let lab: Lab;
  const claims: Claim[] = [];
  let decided = 0;
  let repeated = 0;
  let stop = (): Promise<void> => Promise.resolve();
  before(async () => {
    lab = await startLab(`t${process.pid}why`);
    stop = () => lab.stop();
  });
  after(() => stop());

  async function compare(questions: readonly Question[], answers: ReadonlyMap<number, Answer>): Promise<ReadonlyMap<number, Seen>> {
    const last = new Map<number, Seen>();
    let open = questions;
    let problems: readonly string[] = [];
    for (let attempt = 0; attempt < TRIES && open.length > 0; attempt++) {
      const seen = await lab.probe(open);
      const checked = open.map((question) => {
        const [answer, observed] = [answers.get(question.id), seen.get(question.id)];
        assert.ok(answer !== undefined && observed !== undefined, shown(question));
        last.set(question.id, observed);
        return { question, problem: disagreement(answer, question, observed) };
      });
      open = checked.flatMap(({ question, problem }) => (problem === undefined ? [] : [question]));
      problems = checked.flatMap(({ problem }) => problem ?? []);
      repeated += open.length;
    }
    assert.equal(problems.length, 0, `${problems.length} of ${questions.length}:\n  ${problems.join("\n  ")}`);
    return last;
  }

  const draw = new Draw(seed);
  for (let round = 0; round < ROUNDS; round++) {
    test(`round ${round}: ${QUESTIONS} requests end as answered`, { timeout: ROUND_MS }, async (t) => {
      const policies = policiesOf(draw, round);
      t.after(() => lab.remove(policies));
      await lab.apply(policies);
      await lab.settled();
      const world = await lab.world();
      const live = addressesIn(world);
      const pods = [...(world.Pod?.values() ?? [])];
      const questions = questionsOf(draw, QUESTIONS, live).map((question) =>
        question.protocol === "http" ? { ...question, headers: { ...question.headers, "x-request-id": requestId(round, question) } } : question,
      );
      const answers = new Map(questions.map((question) => [question.id, answerOf(world, question)]));
      try {
        const seen = await compare(questions, answers);
        const written = await lab.evidence();
        for (const question of questions) {
          const [answer, observed] = [answers.get(question.id), seen.get(question.id)];
          assert.ok(answer !== undefined && observed !== undefined);
          if (answer.ways.every(({ verdict }) => verdict !== "unknown")) decided += 1;
          const found = claimsOf(answer, question, observed, { ...written, id: requestId(round, question) });
          claims.push(...found);
          assert.deepEqual(
            found.flatMap(({ problem }) => problem ?? []),
            [],
            shown(question),
          );
        }
        const gateway = pods.find(({ metadata }) => metadata.namespace === "istio-system");
        const alone = await worldWithout([...standing(), gatewayAt(gateway?.spec.nodeName ?? ""), ...policies]);
        for (const question of questions) {
          const other = moved(question, live, addressesIn(alone));
          const answer = answers.get(question.id);
          if (other !== undefined && answer !== undefined)
            assert.deepEqual(essence(answerOf(alone, other)), essence(answer), `from manifests: ${shown(question)}`);
        }
      } catch (error) {
        t.diagnostic(`seed ${seed}, round ${round}: ${JSON.stringify(policies)}`);
        throw error;
      }
      const verdicts = Map.groupBy(answers.values(), ({ verdict }) => verdict);
      t.diagnostic([...verdicts].map(([verdict, of]) => `${of.length} ${verdict}`).join(", "));
    });
  }

  test("enough was compared to mean something", (t) => {
    const kinds = Map.groupBy(claims, ({ about }) => about);
    t.diagnostic(
      `${decided} cases decided, ${repeated} probes repeated; claims of single hops that held: ${[...kinds].map(([about, of]) => `${of.length} ${about}`).join(", ")}`,
    );
    assert.ok(decided >= 100, `${decided} cases`);
    assert.ok(claims.length >= 20, `${claims.length} claims`);
  });
});
