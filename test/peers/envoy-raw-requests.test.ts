/**
 * Malformed and smuggling requests, byte for byte to Weft's proxy and to Envoy: both refuse, or both accept and tell the
 * upstream the same; where Weft refuses what Envoy lets through, the rule is listed. Never the other way round.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startBackends, type Backends } from "./backends.ts";
import { cluster, httpManager, listener } from "./bootstrap-parts.ts";
import { BY_HAND, mutations, type RawRequest, SENTINEL } from "./raw-requests.ts";
import { rawExchange } from "./raw-exchange.ts";
import { type Side, type Sides, skipWithoutEnvoy, startSides } from "./sides.ts";

const seed = Number(process.env["WEFT_TEST_SEED"] ?? Math.floor(Math.random() * 0x7fffffff));
const count = process.env["WEFT_TEST_LONG"] === undefined ? 150 : 5_000;

/** How many are under way at a time: what a proxy never answers is waited for. */
const AT_ONCE = 24;
const SILENCE_MS = 700;
const PATIENCE_MS = 10_000;

interface Outcome {
  /** What the upstream was told, in order. */
  readonly told: readonly string[];
  /** Status of our side's own refusal that ended the connection; 0: closed without one. */
  readonly end: "whole" | "refused" | "closed" | "waits";
  readonly statuses: readonly number[];
}

async function outcome(side: Side, { bytes }: RawRequest, silenceMs: number): Promise<Outcome> {
  const { text, ended } = await rawExchange({ port: side.port("raw"), send: bytes + SENTINEL, silenceMs });
  const statuses: number[] = [];
  const told: string[] = [];
  for (let rest = text; rest !== "";) {
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(rest)?.[1] ?? 0);
    const headEnd = rest.indexOf("\r\n\r\n");
    const head = rest.slice(0, headEnd);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const isHead = /x-method: HEAD/i.test(head);
    const body = isHead ? "" : rest.slice(headEnd + 4, headEnd + 4 + length);
    rest = headEnd < 0 ? "" : rest.slice(headEnd + 4 + (isHead ? 0 : length));
    if (status === 100) continue;
    statuses.push(status);
    if (/x-backend: yes/i.test(head)) told.push(isHead ? "HEAD" : body);
  }
  const refused = statuses.some((status) => status >= 400);
  const isWhole = told.at(-1)?.includes('"/sentinel"') === true;
  return { told, statuses, end: isWhole ? "whole" : refused ? "refused" : ended === "silence" ? "waits" : "closed" };
}

/** What Weft refuses and Envoy does not: two readers could understand it in two ways (RFC 9112 11.2). */
const STRICTER: readonly { readonly rule: RegExp; readonly why: string }[] = [
  { rule: /(?<!\r)\n|\r(?!\n)/, why: "a line ends with CRLF, and neither CR nor LF means anything alone" },
  { rule: /\r\n[ \t]/, why: "no line continues on the next one (obs-fold)" },
  { rule: /\r\n\r\n[^]+\n$/, why: "what is left over behind a body is the next request, and only whole CRLFs may stand before that" },
  { rule: /host:[^]*\r\nhost:/i, why: "one host, or the route of one reader is not that of the next" },
  {
    rule: /^[A-Z]+( |\t)*[ \t]{2}|^[A-Z]+\t|[ \t]{2}HTTP|\tHTTP|HTTP\/1\.[01][ \t]+\r\n/m,
    why: "one space between the parts of a request line, none behind it",
  },
  { rule: /\r\n[0-9a-f]+[ \t]+[;\r]/i, why: "a chunk's size is followed by its extension or by CRLF" },
  { rule: /\r\n[0-9a-f]+[ \t]*;[^\r\n]*[^\t\x20-\x7e\x80-\xff\r\n]/i, why: "no control characters in a chunk's extension" },
  { rule: /;[^\r\n]{16000}/, why: "a chunk's extension has a limit" },
  { rule: /transfer-encoding: *chunked\r\n/i, why: "a chunk's data is followed by CRLF at once" },
];

describe("malformed requests to Weft's proxy and to Envoy", { skip: skipWithoutEnvoy }, () => {
  let sides: Sides;
  let backends: Backends;
  before(async () => {
    backends = await startBackends();
    sides = await startSides(() => {
      const route_config = {
        name: "raw",
        virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "backend" } }] }],
      };
      return {
        static_resources: {
          listeners: [listener("raw", [{ filters: [httpManager({ stat_prefix: "raw", route_config })] }])],
          clusters: [cluster("backend", backends.http)],
        },
      };
    });
  });
  after(() => {
    sides?.stop();
    backends?.stop();
  });

  const compare = async (request: RawRequest, silenceMs = SILENCE_MS): Promise<string | undefined> => {
    const [weft, envoy] = await Promise.all([outcome(sides.weft, request, silenceMs), outcome(sides.envoy, request, silenceMs)]);
    const isSame = JSON.stringify([weft.told, weft.end]) === JSON.stringify([envoy.told, envoy.end]);
    if (isSame) return undefined;
    // A machine that is busy is silent, too.
    if (silenceMs < PATIENCE_MS && [weft, envoy].some(({ end }) => end === "waits")) return compare(request, PATIENCE_MS);
    const isStricter = weft.end === "refused" && weft.told.every((one, i) => one === envoy.told[i]);
    if (isStricter && STRICTER.some(({ rule }) => rule.test(request.bytes))) return undefined;
    return `${request.name} ${JSON.stringify(request.bytes.slice(0, 300))}\n   weft  ${weft.statuses.join(",")} ${weft.end} ${weft.told.join(" ")}\n   envoy ${envoy.statuses.join(",")} ${envoy.end} ${envoy.told.join(" ")}`;
  };

  const compareAll = async (requests: readonly RawRequest[]): Promise<readonly string[]> => {
    const queue = [...requests];
    const differences: string[] = [];
    const worker = async (): Promise<void> => {
      for (let request = queue.shift(); request !== undefined; request = queue.shift()) {
        const difference = await compare(request);
        if (difference !== undefined) differences.push(difference);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return differences;
  };

  it(`${BY_HAND.length} requests by hand`, async () => {
    assert.deepEqual(await compareAll(BY_HAND), []);
  });

  it(`${count} mutations of good requests, seed ${seed}`, async () => {
    assert.deepEqual(await compareAll(mutations(count, seed)), []);
  });
});
