/** `client URL [--method=M] [-H NAME:VALUE]... [--count=N]`: asks, and prints what came, as the conformance suite reads it from the pod. */
import { request } from "node:http";

const words = process.argv.slice(2);
const url = words.find((word) => word.includes("://")) ?? "";
const flag = (name: string, otherwise: string): string => words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;
const headers = words.flatMap((word, i): (readonly [string, string])[] => {
  const [, name = "", value = ""] = words[i - 1] === "-H" ? (/^([^:]+):(.*)$/.exec(word) ?? []) : [];
  return name === "" ? [] : [[name, value]];
});

function ask(number: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const named = Object.fromEntries(headers.filter(([name]) => name.toLowerCase() !== "host"));
    const host = headers.find(([name]) => name.toLowerCase() === "host")?.[1];
    const asked = request(url, { method: flag("method", "GET"), headers: { ...named, ...(host === undefined ? {} : { host }) }, agent: false }, (answer) => {
      const { rawHeaders, statusCode = 0 } = answer;
      const told = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [`[${number}] ResponseHeader=${canonical(name)}:${rawHeaders[i + 1] ?? ""}`] : []));
      let body = "";
      answer.setEncoding("utf8").on("data", (text: string) => (body += text));
      answer.on("error", reject).on("end", () => {
        const lines = body.split("\n").filter((line) => line.trim() !== "");
        resolve([`[${number}] Url=${url}`, `[${number}] StatusCode=${statusCode}`, ...told, ...lines.map((line) => `[${number} body] ${line}`)].join("\n"));
      });
    });
    asked.setTimeout(10_000, () => asked.destroy(new Error("no answer in 10 s")));
    asked.on("error", reject).end();
  });
}

/** "x-header" as "X-Header". */
function canonical(name: string): string {
  return name.replaceAll(/(^|-)[a-z]/g, (letters) => letters.toUpperCase());
}

try {
  const answers: string[] = [];
  for (let number = 0; number < Number(flag("count", "1")); number += 1) answers.push(await ask(number));
  console.log(answers.join("\n\n"));
} catch (error) {
  console.error(`${url}: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
