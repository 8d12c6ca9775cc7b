/** One watch: lines of JSON until the server ends it. */
import type { HttpResponse } from "#host/http.ts";
import type { KubeObject } from "#model/object.ts";
import { ApiRefusal, statusOf } from "./api-error.ts";

export interface WatchOptions {
  readonly resourceVersion: string;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** The server ends the watch after this; default 5 minutes. */
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
  /** The server has begun to answer. */
  readonly opened?: () => void;
}

/** A bookmark's object has only a resourceVersion: everything up to it has been seen. */
export interface WatchEvent<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: T;
}

type Request = (
  method: string,
  path: string,
  options: { readonly query: Readonly<Record<string, string | undefined>>; readonly signal?: AbortSignal; readonly timeoutMs: number },
) => Promise<HttpResponse>;

/** A server begins to answer at once, and then answers for minutes. */
const BEGINS_WITHIN_MS = 30_000;

export async function* watchEvents<T extends KubeObject>(request: Request, path: string, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
  const { resourceVersion, labelSelector, fieldSelector, timeoutSeconds = 300, signal } = options;
  const query = { watch: "true", allowWatchBookmarks: "true", resourceVersion, labelSelector, fieldSelector, timeoutSeconds: String(timeoutSeconds) };
  const response = await request("GET", path, { query, timeoutMs: BEGINS_WITHIN_MS, ...(signal === undefined ? {} : { signal }) });
  options.opened?.();
  for await (const line of linesOf(response.chunks())) {
    const event = JSON.parse(line) as { readonly type: string; readonly object: unknown };
    if (event.type === "ERROR") throw new ApiRefusal(`watch ${path}`, statusOf(500, JSON.stringify(event.object)));
    yield event as WatchEvent<T>;
  }
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield line;
  }
  // A line that was cut off is no event; the next watch brings it.
}
