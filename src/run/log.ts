/**
 * One JSON line an event: {time, level, program, msg, object, ...fields}. `object` is what the line is about, as a user
 * writes it ("Pod default/reviews-v1-x"). A person at a terminal gets the same as text.
 */
import type { Clock } from "#host/clock.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface LogFields {
  readonly object?: string;
  /** Its message and code are logged, and its causes; the stack only for errors that are bugs (not HostError). */
  readonly error?: unknown;
  readonly [field: string]: unknown;
}

export interface Log {
  debug(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  error(msg: string, fields?: LogFields): void;
  /** A log whose lines also carry these fields. */
  with(fields: LogFields): Log;
}

export interface LogOptions {
  readonly program: string;
  readonly clock: Pick<Clock, "now">;
  /** Gets whole lines, with their newline. */
  readonly write: (line: string) => void;
  /** Default "info". */
  readonly level?: LogLevel;
  /** Text for people instead of JSON. */
  readonly human?: boolean;
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export function createLog(options: LogOptions): Log {
  const least = RANK[options.level ?? "info"];
  const format = options.human === true ? humanLine : jsonLine;
  const make = (base: LogFields): Log => {
    const at =
      (level: LogLevel) =>
      (msg: string, fields: LogFields = {}): void => {
        if (RANK[level] < least) return;
        const { error, ...rest } = { ...base, ...fields };
        const time = new Date(options.clock.now()).toISOString();
        options.write(format({ time, level, program: options.program, msg, ...rest, ...(error === undefined ? {} : { error: describeError(error) }) }));
      };
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error"), with: (fields) => make({ ...base, ...fields }) };
  };
  return make({});
}

/** For tests and for code that is given no log. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silentLog };

interface Line {
  readonly time: string;
  readonly level: LogLevel;
  readonly program: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

function jsonLine(line: Line): string {
  return `${JSON.stringify(line)}\n`;
}

function humanLine({ time, level, program, msg, object, ...rest }: Line & { readonly object?: unknown }): string {
  const fields = Object.entries(rest).map(([key, value]) => ` ${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return `${time.slice(11, 23)} ${level.padEnd(5)} ${program}: ${msg}${object === undefined ? "" : ` [${typeof object === "string" ? object : JSON.stringify(object)}]`}${fields.join("")}\n`;
}

/** "message (CODE): cause". Bugs keep their stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  const isBug = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  const own = isBug && error.stack !== undefined ? error.stack : `${error.message}${typeof code === "string" ? ` (${code})` : ""}`;
  return error.cause instanceof Error && !own.includes(error.cause.message) ? `${own}: ${describeError(error.cause)}` : own;
}
