/** What the runs so far said of each spec, and the table that people read. A run of some specs changes what is said of those. */
import { existsSync, readFileSync } from "node:fs";
import { nameOf, specsIn, whyNotHere, type GinkgoReport, type Spec } from "./specs.ts";

export interface Result {
  readonly state: "passed" | "failed" | "skipped" | "cannot run";
  readonly seconds?: number;
  /** Why it failed, was skipped by itself, or cannot run. */
  readonly why?: string;
}

export interface Results {
  /** "v1.35.4". */
  readonly kubernetes: string;
  /** By name; specs without a result were not run yet. */
  readonly specs: Readonly<Record<string, Result & { readonly group: Spec["group"] }>>;
}

export function readResults(file: string): Results | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Results) : undefined;
}

/** Only of specs that are asked for. */
export function withReport(before: Results, asked: readonly Spec[], report: GinkgoReport): Results {
  const specs: Record<string, Result & { readonly group: Spec["group"] }> = {};
  // Of several runs each has skipped what the others ran.
  const told = new Map(
    specsIn(report)
      .filter(({ State, RunTime }) => !isUntried(State, RunTime))
      .map((spec) => [nameOf(spec), spec]),
  );
  for (const { name, group } of asked) {
    const spec = told.get(name);
    const why = whyNotHere(name);
    const old = before.specs[name];
    if (why !== undefined) specs[name] = { group, state: "cannot run", why };
    else if (spec === undefined) {
      if (old !== undefined) specs[name] = old;
    } else specs[name] = { group, ...resultOf(spec.State, spec.RunTime, spec.Failure?.Message) };
  }
  return { ...before, specs };
}

/** What the focus left out is "skipped" as well, but took no time; when the suite's time was up, nobody knows how it would have ended. */
function isUntried(state: string, runTime: number): boolean {
  return state === "pending" || state === "timedout" || state === "interrupted" || (state === "skipped" && runTime === 0);
}

function resultOf(state: string, runTime: number, message: string | undefined): Result {
  const seconds = Math.round(runTime / 1e8) / 10;
  if (state === "passed") return { state, seconds };
  const why =
    (message ?? state)
      .split("\n")
      .find((line) => line.trim() !== "")
      ?.trim()
      .slice(0, 200) ?? state;
  return { state: state === "skipped" ? "skipped" : "failed", seconds, why };
}

export function tableOf({ kubernetes, specs }: Results, asked: readonly Spec[]): string {
  const sections = (["Conformance", "NetworkPolicy"] as const).map((group) => {
    const rows = asked.filter((spec) => spec.group === group).map(({ name }) => ({ name, result: specs[name] }));
    const count = (state: string): number => rows.filter(({ result }) => (result?.state ?? "not run") === state).length;
    const summary = ["passed", "failed", "skipped", "cannot run", "not run"].flatMap((state) => (count(state) === 0 ? [] : [`${count(state)} ${state}`]));
    return [
      `## ${group === "Conformance" ? "Conformance specs of sig-network" : "NetworkPolicy"}`,
      `${rows.length} specs: ${summary.join(", ")}.`,
      ["| spec | result | seconds | why |", "| --- | --- | --- | --- |", ...rows.map(({ name, result }) => rowOf(name, result))].join("\n"),
    ].join("\n\n");
  });
  return [HEAD.replace("VERSION", kubernetes), ...sections, ""].join("\n\n").replace(/\n+$/, "\n");
}

const HEAD = `# Kubernetes' own network tests

Written by \`npm run conformance -- e2e\` from ginkgo's reports; not by hand. Kubernetes VERSION, two nodes, no network but Weft's
(profile \`full\`), no kube-proxy, no CoreDNS. Asked are all specs of sig-network that are marked [Conformance], and all of NetworkPolicy.`;

function rowOf(name: string, result: Result | undefined): string {
  const cells = [
    name.replace("[sig-network] ", ""),
    result?.state ?? "not run",
    result?.seconds === undefined ? "" : String(result.seconds),
    result?.why ?? "",
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("<", "&lt;")).join(" | ")} |`;
}
