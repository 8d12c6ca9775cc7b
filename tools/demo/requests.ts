/** Requests of a person at the gateway, a few at a time. */
import { Agent, request } from "node:http";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 16 });

export function get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent, headers, timeout: 10_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    asked.on("timeout", () => asked.destroy(new Error("no answer within 10 s")));
    asked.on("error", reject);
    asked.end();
  });
}

/** Which version of reviews answered: its pod's name begins with it. */
export function reviewsVersion(answer: Answer): string {
  const podname = answer.status === 200 ? (JSON.parse(answer.body) as { podname?: string }).podname : undefined;
  return /^reviews-(v\d+)-/.exec(podname ?? "")?.[1] ?? `status ${answer.status}`;
}

/** Counts what `ask` says, `times` times. */
export async function tally(times: number, ask: () => Promise<string>, atOnce = 16): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  let left = times;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const said = await ask().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
      counts.set(said, (counts.get(said) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return counts;
}
