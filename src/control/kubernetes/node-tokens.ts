/**
 * Which node's agent a service account's token is of. The API server is asked (TokenReview): only it knows whether the token
 * is real, for us, and of a pod that still exists; it also says on which node that pod runs.
 *
 * An answer is asked for again after a minute, because an agent's pod may have gone; while the API server is away an answer
 * holds until the token's end, so that agents that start again reach the mesh.
 */
import { createHash } from "node:crypto";
import type { ApiClient } from "#client/client.ts";
import type { Host } from "#host/host.ts";
import type { Log } from "#run/log.ts";
import type { NodeAnswer } from "#control/callers.ts";

export interface NodeTokensOptions {
  readonly api: Pick<ApiClient, "request">;
  readonly log: Log;
  readonly audience: string;
  /** Of the agents: "system:serviceaccount:weft-system:weft-agent". */
  readonly user: string;
}

export interface NodeTokens {
  /** `authorization`: as in the call's metadata, "Bearer ...". Undefined: nobody can say now. */
  nodeOf(authorization: string | undefined): Promise<NodeAnswer | undefined>;
}

interface Review {
  readonly authenticated?: boolean;
  readonly audiences?: readonly string[];
  readonly error?: string;
  readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
}

interface Remembered {
  readonly answer: NodeAnswer;
  readonly reviewedAtMs: number;
  readonly endsAtMs: number;
}

interface Claims {
  readonly sub: string;
  readonly audiences: readonly string[];
  readonly endsAtMs: number;
}

/** Of the pod's node, put into tokens that are bound to a pod (KEP-4193). */
const NODE_NAME = "authentication.kubernetes.io/node-name";
const REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews";
const HOLDS_MS = 60_000;
const REMEMBERED = 4_096;
/** A token of a service account is about 1 KB. */
const LONGEST_TOKEN = 16_384;

export function nodeTokens(host: Pick<Host, "clock">, options: NodeTokensOptions): NodeTokens {
  const { api, log, audience, user } = options;
  /** By the token's hash: who reads this program's memory finds no tokens. */
  const known = new Map<string, Remembered>();
  const asking = new Map<string, Promise<NodeAnswer | undefined>>();

  const review = async (token: string, key: string, claims: Claims): Promise<NodeAnswer | undefined> => {
    let status: Review;
    try {
      const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token, audiences: [audience] } };
      const response = await api.request("POST", REVIEWS, { body, timeoutMs: 10_000 });
      status = (JSON.parse(await response.text()) as { readonly status?: Review }).status ?? {};
    } catch (error) {
      const before = known.get(key);
      const holds = before !== undefined && before.endsAtMs > host.clock.now();
      log.warn("the API server could not be asked about an agent's token", { error, answered: holds ? "as before" : "not at all" });
      return holds ? before.answer : undefined;
    }
    const answer = nodeIn(status, audience, user);
    known.delete(key);
    known.set(key, { answer, reviewedAtMs: host.clock.now(), endsAtMs: claims.endsAtMs });
    for (const oldest of known.keys()) {
      if (known.size <= REMEMBERED) break;
      known.delete(oldest);
    }
    return answer;
  };

  return {
    async nodeOf(authorization) {
      const token = /^Bearer (\S+)$/i.exec(authorization ?? "")?.[1];
      if (token === undefined) return { refused: "call metadata authorization has no bearer token; agents call with theirs" };
      // What cannot be right by its own words is not worth a question.
      const claims = token.length > LONGEST_TOKEN ? undefined : claimsOf(token);
      if (claims === undefined) return { refused: "the bearer token is not a service account's" };
      if (!claims.audiences.includes(audience)) return { refused: `the token is for ${claims.audiences.join(", ")}, not for ${audience}` };
      if (claims.sub !== user) return { refused: `the token is of ${claims.sub}; agents are ${user}` };
      const now = host.clock.now();
      if (claims.endsAtMs <= now) return { refused: "the token has ended" };
      const key = createHash("sha256").update(token).digest("base64");
      const before = known.get(key);
      if (before !== undefined && now - before.reviewedAtMs < HOLDS_MS) return before.answer;
      const asked = asking.get(key) ?? review(token, key, claims).finally(() => asking.delete(key));
      asking.set(key, asked);
      return asked;
    },
  };
}

function nodeIn({ authenticated, audiences = [], error, user = {} }: Review, audience: string, agents: string): NodeAnswer {
  if (authenticated !== true) return { refused: `the API server does not accept the token${error === undefined || error === "" ? "" : `: ${error}`}` };
  // A server that does not know audiences leaves them out, and would accept a token that was made for another service.
  if (!audiences.includes(audience)) return { refused: `the token is not for ${audience}` };
  if (user.username !== agents) return { refused: `the token is of ${user.username ?? "nobody"}; agents are ${agents}` };
  const node = user.extra?.[NODE_NAME]?.[0];
  return node === undefined
    ? { refused: `the token names no node (${NODE_NAME}); it must be bound to the agent's pod, on Kubernetes 1.32 or later` }
    : { node };
}

/** Not verified: for quick refusals and for the end of its life. */
function claimsOf(token: string): Claims | undefined {
  const [, payload, signature] = token.split(".");
  if (payload === undefined || signature === undefined) return undefined;
  try {
    const { sub, aud, exp } = JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as Readonly<Record<string, unknown>>;
    if (typeof sub !== "string" || typeof exp !== "number") return undefined;
    const audiences = (Array.isArray(aud) ? aud : [aud]).filter((each): each is string => typeof each === "string");
    return { sub, audiences, endsAtMs: exp * 1000 };
  } catch {
    return undefined;
  }
}
