/** An answer as people read it: the verdict, who asks whom, the hops in columns, what to do. */
import { formatProvenance } from "#model/provenance.ts";
import type { Hop, Verdict } from "#decide/why/answer.ts";
import type { Answer, Way } from "./question.ts";
import { percent } from "./shares.ts";

export interface Style {
  readonly color: boolean;
}

const words: Readonly<Record<Verdict, string>> = { allowed: "ALLOWED", denied: "DENIED", unknown: "UNKNOWN" };
/** SGR: bold green, red, yellow. */
const colors: Readonly<Record<Verdict, string>> = { allowed: "1;32", denied: "1;31", unknown: "1;33" };
const TEXT_WIDTH = 62;
const LABEL_WIDTH = 14;
/** Of ways that are listed; more are summed up. */
const MOST_WAYS = 8;

function painted(text: string, verdict: Verdict, { color }: Style): string {
  return color ? `\u001b[${colors[verdict]}m${text}\u001b[0m` : text;
}

/** The hop that decided: the last that says no, or does not know. */
function decidingHop({ verdict, hops }: Answer): Hop | undefined {
  return verdict === "allowed" ? undefined : hops.findLast((each) => each.verdict !== "allowed");
}

export function formatShort(answer: Answer, style: Style): string {
  const { verdict, effect, ways } = answer;
  const decided = decidingHop(answer);
  const isMixed = new Set(ways.map((way) => way.verdict)).size > 1;
  const reason = isMixed
    ? `  ${mixture(ways)}`
    : decided === undefined
      ? ""
      : decided.by === undefined
        ? `  at ${decided.hop}: ${decided.text}`
        : `  by ${formatProvenance(decided.by)}`;
  return `${painted(words[verdict], verdict, style)}${reason}${effect === undefined || isMixed ? "" : `   ${effect}`}\n`;
}

/** "80% allowed, 20% denied". */
function mixture(ways: readonly Way[]): string {
  const shares = Map.groupBy(ways, ({ verdict }) => verdict);
  return [...shares].map(([verdict, of]) => `${percent(of.reduce((sum, { share }) => sum + share, 0))} ${verdict}`).join(", ");
}

export function formatAnswer(answer: Answer, style: Style): string {
  const { source, target, identity, hint, hops, notes } = answer;
  const who = `  ${source}  ->  ${target}${identity === undefined ? "" : `        identity ${identity}`}`;
  const sourceWidth = Math.max(...hops.map(({ by }) => (by === undefined ? 0 : formatProvenance(by).length)), 0);
  const rows = hops.map((each, i) => formatHop(each, i + 1, sourceWidth, style));
  const ends = formatWays(answer, style);
  const help = hint === undefined ? "" : `  ${answer.verdict === "allowed" ? "Hint" : "To allow it"}: ${hint}\n`;
  return `${formatShort(answer, style)}\n${who}\n${rows.join("")}${ends}${help}${notes.map((note) => `  Note: ${note}\n`).join("")}`;
}

/** Only when there are several. */
function formatWays({ ways }: Answer, style: Style): string {
  if (ways.length < 2) return "";
  const lines = ways.slice(0, MOST_WAYS).map(({ share, verdict, target, effect }, i) => {
    const label = `  ${i === 0 ? "ways".padEnd(LABEL_WIDTH + 3) : " ".repeat(LABEL_WIDTH + 3)}`;
    return `${label}${percent(share).padStart(6)}  ${painted(verdict.padEnd(8), verdict, style)} ${target}${effect === undefined ? "" : `   ${effect}`}\n`;
  });
  const more = ways.length > MOST_WAYS ? `${" ".repeat(LABEL_WIDTH + 5)}and ${ways.length - MOST_WAYS} more\n` : "";
  return lines.join("") + more;
}

function formatHop({ hop, text, by, known, verdict }: Hop, index: number, sourceWidth: number, style: Style): string {
  const label = `  ${String(index).padEnd(3)}${hop.padEnd(LABEL_WIDTH)}`;
  const indent = " ".repeat(label.length);
  // The trust domain is the same everywhere.
  const lines = wrap(text.replaceAll(/spiffe:\/\/[^/\s]+/g, "…"), TEXT_WIDTH).map((line) => line.padEnd(TEXT_WIDTH));
  const last = `  ${(by === undefined ? "" : formatProvenance(by)).padEnd(sourceWidth)}  ${known}`;
  const body = lines.map((line, n) =>
    `${n === 0 ? label : indent}${verdict === "allowed" ? line : painted(line, verdict, style)}${n === 0 ? last : ""}`.trimEnd(),
  );
  return `${body.join("\n")}\n`;
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((each) => pieces(each, width))) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** A word that is wider than a line. */
function pieces(word: string, width: number): readonly string[] {
  return word.match(new RegExp(`.{1,${width}}`, "g")) ?? [word];
}
