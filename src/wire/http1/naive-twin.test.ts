/**
 * A slow, plain reading of RFC 9112 for tests: it splits whole messages with regular expressions, knows nothing of the fast
 * reader's code, and must say the same about every input that is complete.
 */
export type Naive = { readonly events: string[]; readonly refused: boolean };

const HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
const REQUEST = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/1\.([01])$/;

/** All requests of `input` (latin1): one event line per request, body and end. */
export function naiveRequests(input: string): Naive {
  const events: string[] = [];
  let rest = input;
  while (rest !== "") {
    while (rest.startsWith("\r\n")) rest = rest.slice(2);
    if (rest === "") break;
    const end = rest.indexOf("\r\n\r\n");
    const head = end < 0 ? rest : rest.slice(0, end);
    const lines = head.split("\r\n");
    if (/\n/.test(lines.join(""))) return { events, refused: true };
    if (end < 0) break;
    const start = REQUEST.exec(lines[0] ?? "");
    if (start === null) return { events, refused: true };
    const headers: [string, string][] = [];
    for (const line of lines.slice(1)) {
      const header = HEADER.exec(line);
      if (header === null) return { events, refused: true };
      headers.push([(header[1] ?? "").toLowerCase(), (header[2] ?? "").replace(/[ \t]+$/, "")]);
    }
    rest = rest.slice(end + 4);
    const all = (name: string) => headers.filter(([n]) => n === name).map(([, v]) => v);
    const lengths = all("content-length");
    const encodings = all("transfer-encoding");
    if (start[3] === "1" && all("host").length === 0) return { events, refused: true };
    if (all("host").length > 1 || !/^[\w.\-~%!$&'()*+,;=:[\]@]*$/.test(all("host")[0] ?? "")) return { events, refused: true };
    if (encodings.length > 0 && (lengths.length > 0 || start[3] === "0" || encodings.length > 1 || encodings[0]?.toLowerCase() !== "chunked"))
      return { events, refused: true };
    if (lengths.length > 1 || (lengths.length === 1 && !/^\d{1,15}$/.test(lengths[0] ?? ""))) return { events, refused: true };
    if (!/^(\/|\*$|https?:\/\/)/i.test(start[2] ?? "")) return { events, refused: true };
    events.push(`${start[1] ?? ""} ${start[2] ?? ""} ${headers.map(([n, v]) => `${n}=${v}`).join("|")}`);
    if (encodings.length > 0) {
      const body = naiveChunks(rest);
      if (body === "refused") return { events, refused: true };
      if (body === "more") return { events, refused: false };
      events.push(`body ${body.data}`, "end");
      rest = body.rest;
    } else {
      const length = Number(lengths[0] ?? 0);
      if (rest.length < length) return { events, refused: false };
      if (length > 0) events.push(`body ${rest.slice(0, length)}`);
      events.push("end");
      rest = rest.slice(length);
    }
  }
  return { events, refused: false };
}

function naiveChunks(input: string): { data: string; rest: string } | "refused" | "more" {
  let rest = input;
  let data = "";
  for (;;) {
    const end = rest.indexOf("\r\n");
    const line = end < 0 ? rest : rest.slice(0, end);
    if (line.includes("\n")) return "refused";
    if (end < 0) return "more";
    const size = /^([0-9a-f]{1,12})(?:;[\t\x20-\x7e\x80-\xff]*)?$/i.exec(line);
    if (size === null) return "refused";
    const length = Number.parseInt(size[1] ?? "", 16);
    rest = rest.slice(end + 2);
    if (length === 0) break;
    if (rest.length < length + 2) return "more";
    if (rest.slice(length, length + 2) !== "\r\n") return "refused";
    data += rest.slice(0, length);
    rest = rest.slice(length + 2);
  }
  for (;;) {
    const end = rest.indexOf("\r\n");
    const line = end < 0 ? rest : rest.slice(0, end);
    if (line.includes("\n")) return "refused";
    if (end < 0) return "more";
    rest = rest.slice(end + 2);
    if (line === "") return { data, rest };
    if (!HEADER.test(line)) return "refused";
  }
}
