import assert from "node:assert/strict";
import { it } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { Host } from "#host/host.ts";
import type { HttpExchange } from "#host/http.ts";
import { RPC_STATUS } from "#host/rpc.ts";
import type { Pod } from "#model/core.ts";
import { connectApi } from "#client/client.ts";
import { callerOf } from "#control/callers.ts";
import { LiveWorld } from "#control/live-world.ts";
import { silentLog } from "#run/log.ts";
import { knownCallers } from "./known-callers.ts";
import { nodeTokens } from "./node-tokens.ts";

const AGENT = "system:serviceaccount:weft-system:weft-agent";

interface TokenFacts {
  readonly sub?: string;
  readonly aud?: readonly string[];
  readonly exp?: number;
  readonly node?: string;
  readonly signature?: string;
}

/** What a test server can take apart again; its "signature" says whether the server accepts it. */
function token(
  world: FakeWorld,
  { sub = AGENT, aud = ["weft"], exp = world.clock.now() / 1000 + 600, node = "n1", signature = "good" }: TokenFacts = {},
): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ sub, aud, exp, node })}.${signature}`;
}

class ReviewServer {
  asked = 0;
  isAway = false;
  readonly gone = new Set<string>();
  /** Servers that know no audiences leave them out. */
  knowsAudiences = true;

  async answer(exchange: HttpExchange): Promise<void> {
    this.asked += 1;
    if (this.isAway) return exchange.respond(503, {}, "away");
    const { spec } = JSON.parse(Buffer.from(await exchange.body()).toString()) as { spec: { token: string; audiences: readonly string[] } };
    const [, payload = "", signature] = spec.token.split(".");
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as { sub: string; aud: readonly string[]; node?: string };
    const fits = signature === "good" && !this.gone.has(spec.token);
    const status = {
      authenticated: fits,
      ...(fits ? {} : { error: "invalid bearer token" }),
      ...(this.knowsAudiences ? { audiences: spec.audiences.filter((each) => claims.aud.includes(each)) } : {}),
      user: { username: claims.sub, extra: claims.node === "" ? {} : { "authentication.kubernetes.io/node-name": [claims.node] } },
    };
    exchange.respond(201, { "content-type": "application/json" }, JSON.stringify({ kind: "TokenReview", status }));
  }
}

async function scene(
  play: (parts: { world: FakeWorld; host: Host; server: ReviewServer; tokens: ReturnType<typeof nodeTokens> }) => Promise<void>,
): Promise<void> {
  const world = new FakeWorld();
  const host = fakeHost(world, { name: "control" });
  const server = new ReviewServer();
  await world.drive(
    (async () => {
      await host.http.serve({ address: { ip: "192.0.2.1", port: 6443 } }, { onRequest: (exchange) => void server.answer(exchange) });
      const api = connectApi({ host, url: "http://192.0.2.1:6443" });
      await play({ world, host, server, tokens: nodeTokens(host, { api, log: silentLog, audience: "weft", user: AGENT }) });
    })(),
  );
}

const refusals: { name: string; of: TokenFacts; want: RegExp; asks: boolean }[] = [
  {
    name: "another service account's token",
    of: { sub: "system:serviceaccount:default:default" },
    want: /is of system:serviceaccount:default:default/,
    asks: false,
  },
  {
    name: "an agent's token for the API server",
    of: { aud: ["https://kubernetes.default.svc"] },
    want: /is for https:\/\/kubernetes.default.svc, not for weft/,
    asks: false,
  },
  { name: "a token that has ended", of: { exp: 1 }, want: /has ended/, asks: false },
  { name: "a token that somebody wrote", of: { signature: "forged" }, want: /does not accept the token: invalid bearer token/, asks: true },
  { name: "a token that is bound to no node", of: { node: "" }, want: /names no node/, asks: true },
];
for (const { name, of, want, asks } of refusals) {
  it(`${name} is refused`, () =>
    scene(async ({ world, server, tokens }) => {
      const answer = await tokens.nodeOf(`Bearer ${token(world, of)}`);
      assert.match(answer !== undefined && "refused" in answer ? answer.refused : "", want);
      assert.equal(server.asked > 0, asks);
    }));
}

it("no token, and what is none, is refused without a question", () =>
  scene(async ({ server, tokens }) => {
    for (const text of [undefined, "", "Bearer", "Bearer x", "Bearer a.b.c", `Bearer ${"x".repeat(100_000)}`, "Basic YTpi"])
      assert.ok("refused" in ((await tokens.nodeOf(text)) ?? {}), text);
    assert.equal(server.asked, 0);
  }));

it("a server that ignores audiences is not believed", () =>
  scene(async ({ world, server, tokens }) => {
    server.knowsAudiences = false;
    assert.deepEqual(await tokens.nodeOf(`Bearer ${token(world)}`), { refused: "the token is not for weft" });
  }));

it("an answer is asked for once a minute, and holds to the token's end while the API server is away", () =>
  scene(async ({ world, host, server, tokens }) => {
    const own = `Bearer ${token(world)}`;
    assert.deepEqual(await Promise.all([tokens.nodeOf(own), tokens.nodeOf(own)]), [{ node: "n1" }, { node: "n1" }]);
    await host.clock.sleep(59_000);
    assert.deepEqual(await tokens.nodeOf(own), { node: "n1" });
    assert.equal(server.asked, 1);
    server.isAway = true;
    await host.clock.sleep(2_000);
    assert.deepEqual(await tokens.nodeOf(own), { node: "n1" });
    assert.equal(await tokens.nodeOf(`Bearer ${token(world, { node: "n2" })}`), undefined);
    await host.clock.sleep(600_000);
    assert.deepEqual(await tokens.nodeOf(own), { refused: "the token has ended" });
  }));

it("a token whose pod has gone is refused within a minute", () =>
  scene(async ({ world, host, server, tokens }) => {
    const own = token(world);
    assert.deepEqual(await tokens.nodeOf(`Bearer ${own}`), { node: "n1" });
    server.gone.add(own);
    await host.clock.sleep(61_000);
    assert.ok("refused" in ((await tokens.nodeOf(`Bearer ${own}`)) ?? {}));
  }));

it("over gRPC: an agent speaks for pods of its own node alone, and what it says early is heard", () =>
  scene(async ({ world, host, server, tokens }) => {
    const pods = new LiveWorld();
    for (const [name, nodeName] of [
      ["mine", "n1"],
      ["other", "n2"],
    ] as const) {
      pods.set("Pod", {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, namespace: "default", uid: `uid-${name}` },
        spec: { nodeName, containers: [] },
      } as Pod);
    }
    const methods = knownCallers(tokens.nodeOf, (nodeOf) => ({
      "/test/Whoami": (call) => ({
        onMessage(message) {
          const caller = callerOf(pods, call, nodeOf(call));
          if ("refused" in caller) return call.end(RPC_STATUS.permissionDenied, caller.refused);
          call.send(Buffer.from(`${Buffer.from(message).toString()} ${caller.pod.metadata.name}`));
        },
        onEnd: () => call.end(),
      }),
    }));
    const service = await host.rpc.serve({ address: { ip: "192.0.2.1", port: 15012 }, methods });
    const channel = host.rpc.connect({ address: service.address });
    const call = (metadata: Record<string, string>): Promise<{ messages: string[]; code: number; message: string }> =>
      new Promise((resolve) => {
        const messages: string[] = [];
        const open = channel.call("/test/Whoami", metadata, {
          onMessage: (message) => void messages.push(Buffer.from(message).toString()),
          onClose: (status) => resolve({ messages, ...status }),
        });
        open.send(Buffer.from("a"));
        open.send(Buffer.from("b"));
        open.end();
      });
    const authorization = `Bearer ${token(world)}`;
    assert.deepEqual((await call({ authorization, "weft-pod": "default/mine/uid-mine" })).messages, ["a mine", "b mine"]);
    const other = await call({ authorization, "weft-pod": "default/other/uid-other" });
    assert.deepEqual([other.messages, other.code, other.message], [[], RPC_STATUS.permissionDenied, "Pod default/other is not bound to node n1"]);
    assert.equal((await call({ "weft-pod": "default/mine/uid-mine" })).code, RPC_STATUS.unauthenticated);
    assert.equal(
      (await call({ authorization: `Bearer ${token(world, { sub: "system:serviceaccount:default:default" })}`, "weft-pod": "default/mine/uid-mine" })).code,
      RPC_STATUS.unauthenticated,
    );
    server.isAway = true;
    assert.equal((await call({ authorization: `Bearer ${token(world, { node: "n2" })}`, "weft-pod": "default/other/uid-other" })).code, RPC_STATUS.unavailable);
  }));
