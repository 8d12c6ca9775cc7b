/** What `weft why` is asked, and what it answers. */
import type { Hint, Hop, Verdict } from "#decide/why/answer.ts";
import type { Destination, Source } from "./places.ts";

export interface Question {
  readonly from: Source;
  readonly to: Destination;
  /** The client itself speaks TLS: nobody on the way sees the request. */
  readonly tls?: boolean;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** One of the ends that chance decides between, equal ones put together. */
export interface Way {
  /** Of 1. */
  readonly share: number;
  readonly verdict: Verdict;
  /** "ratings-v1-5c (node-2)", or an address. */
  readonly target: string;
  readonly effect?: string;
}

export interface Answer {
  readonly verdict: Verdict;
  /** "productpage-v1-7d (node-1)" */
  readonly source: string;
  readonly target: string;
  /** Of the client, when it has a proxy. */
  readonly identity?: string;
  /** Of the likeliest way that ends in the verdict. */
  readonly hops: readonly Hop[];
  /** What the client sees: "403", "503 after 10 s", "connection closed", "no answer"; absent: the application answers. */
  readonly effect?: string;
  /** What to change so that it would be allowed, where that is clear. */
  readonly hint?: string;
  readonly ways: readonly Way[];
  /** What objects on the way ask for and Weft does not do. */
  readonly notes: readonly string[];
}

/** A way that did not end well, for whoever looks for the remedy. */
export interface Denial {
  /** Of the proxy's decision. */
  readonly hint: Hint | undefined;
  readonly hops: readonly Hop[];
  readonly target: string;
  readonly question: Question;
}
