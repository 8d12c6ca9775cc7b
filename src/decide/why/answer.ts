/** The answer to "why": the hops of an imagined request, each with what decided it. */
import { parseProvenance, type Provenance } from "#model/provenance.ts";

/** executed: our own code decided it; modelled: we walked rules that the kernel runs; unknown: somebody else decides. */
export type Known = "executed" | "modelled" | "unknown";
export type Verdict = "allowed" | "denied" | "unknown";

export interface Hop {
  /** "name", "policy out", "proxy out", "endpoint", "mTLS", "wire", "policy in", "proxy in", "route" ... */
  readonly hop: string;
  readonly text: string;
  /** Absent: no object decides, a default does. */
  readonly by?: Provenance;
  readonly known: Known;
  readonly verdict: Verdict;
}

/** What to change so that it would be allowed, where that is clear. */
export interface Hint {
  readonly text: string;
  /** A rule that lacks nothing but this caller. */
  readonly grant?: { readonly by: Provenance; readonly principal: string };
}

export function hop(name: string, text: string, known: Known, rest: { readonly by?: string | Provenance | undefined; readonly verdict?: Verdict } = {}): Hop {
  const by = typeof rest.by === "string" ? parseProvenance(rest.by) : rest.by;
  return { hop: name, text, ...(by === undefined ? {} : { by }), known, verdict: rest.verdict ?? "allowed" };
}

/** Of alternatives that chance decides between: their common verdict, or that nobody can tell. */
export function commonVerdict(verdicts: readonly Verdict[]): Verdict {
  const [first] = verdicts;
  return first !== undefined && verdicts.every((verdict) => verdict === first) ? first : "unknown";
}
