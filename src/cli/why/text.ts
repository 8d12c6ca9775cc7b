/** An answer as people read it: the verdict, who asks whom, the hops in columns. */
import { formatProvenance } from "#model/provenance.ts";
import type { Hop, Verdict } from "#decide/why/answer.ts";
import type { ComposedAnswer } from "./answer.ts";

const words: Readonly<Record<Verdict, string>> = { allowed: "ALLOWED", denied: "DENIED", unknown: "UNKNOWN" };
const textWidth = 48;
const sourceWidth = 46;

/** The hop that decided: the last that says no, or does not know. */
function decidingHop({ verdict, hops }: ComposedAnswer): Hop | undefined {
  return verdict === "allowed" ? undefined : hops.findLast((each) => each.verdict === verdict);
}

export function formatShort(answer: ComposedAnswer): string {
  const decided = decidingHop(answer);
  const by = decided?.by === undefined ? "" : `  by ${formatProvenance(decided.by)}`;
  const reason = decided !== undefined && by === "" ? `  ${decided.hop}: ${decided.text}` : "";
  const effect = answer.effect === undefined ? "" : `   ${answer.effect}`;
  return `${words[answer.verdict]}${by}${reason}${effect}\n`;
}

export function formatAnswer(answer: ComposedAnswer): string {
  const identity = answer.identity === undefined ? "" : `        identity ${answer.identity}`;
  const hint = answer.hint === undefined ? "" : `  To allow it: ${answer.hint}\n`;
  const rows = answer.hops.map((each, i) => formatHop(each, i + 1));
  return `${formatShort(answer)}\n  ${answer.source}  ->  ${answer.target}${identity}\n${rows.join("")}${hint}`;
}

function formatHop({ hop, text, by, known }: Hop, index: number): string {
  const label = `  ${String(index).padEnd(3)}${hop.padEnd(13)}`;
  const source = by === undefined ? "" : formatProvenance(by);
  const lines = wrap(text, textWidth + 32);
  const indent = " ".repeat(label.length);
  const [last = "", before] = [lines.at(-1), lines.slice(0, -1)];
  const body = [...before, ...(last.length > textWidth ? [last, ""] : [last])].map((line, n) => (n === 0 ? label : indent) + line);
  // The source stands beside the last line, if that leaves room for it.
  const end = `${(body.at(-1) ?? "").padEnd(label.length + textWidth)}  ${source.padEnd(sourceWidth)}  ${known}`;
  return `${[...body.slice(0, -1), end].map((line) => line.trimEnd()).join("\n")}\n`;
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
