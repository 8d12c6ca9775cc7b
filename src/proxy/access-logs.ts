/** Access logs: records are formatted at the end of a request and leave in batches. */
import type { AccessLog } from "#wire/envoy/gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import type { SubstitutionFormatString } from "#wire/envoy/gen/envoy/config/core/v3/substitution_format_string_pb.ts";
import type { FileAccessLog } from "#wire/envoy/gen/envoy/extensions/access_loggers/file/v3/file_pb.ts";
import type { StderrAccessLog, StdoutAccessLog } from "#wire/envoy/gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts";
import { type AccessRecord, compileJsonFormat, compileTextFormat, DEFAULT_FORMAT, type Formatter } from "#decide/access-log/access-log.ts";
import { ConfigProblem, NOT_SUPPORTED } from "#decide/config-problem.ts";
import type { Clock } from "#host/clock.ts";
import type { Files } from "#host/files.ts";
import { inlineData } from "./config/data-source.ts";
import { unpack } from "./config/unpack.ts";

export interface AccessLogs {
  readonly any: boolean;
  write(record: AccessRecord): void;
}

/** A batch leaves when it is this large, or this old. */
const BATCH_BYTES = 64 * 1024;
const BATCH_MS = 200;

export class AccessLogFiles {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #open = new Map<string, LogFile>();
  constructor(files: Files, clock: Clock) {
    this.#files = files;
    this.#clock = clock;
  }

  file(path: string): LogFile {
    let file = this.#open.get(path);
    if (file === undefined) this.#open.set(path, (file = new LogFile(path, this.#files, this.#clock)));
    return file;
  }

  async flush(): Promise<void> {
    await Promise.all([...this.#open.values()].map((file) => file.flush()));
  }
}

class LogFile {
  readonly #path: string;
  readonly #files: Files;
  readonly #clock: Clock;
  #batch = "";
  #writing: Promise<void> | undefined;
  #scheduled = false;
  dropped = 0;

  constructor(path: string, files: Files, clock: Clock) {
    this.#path = path;
    this.#files = files;
    this.#clock = clock;
  }

  write(line: string): void {
    // A disk that does not keep up must not take the memory of the proxy.
    if (this.#batch.length > 64 * BATCH_BYTES) {
      this.dropped++;
      return;
    }
    this.#batch += line;
    if (this.#batch.length >= BATCH_BYTES) void this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      this.#clock.after(BATCH_MS, () => void this.flush()).unref();
    }
  }

  async flush(): Promise<void> {
    this.#scheduled = false;
    if (this.#writing !== undefined) await this.#writing;
    if (this.#batch === "") return;
    const batch = this.#batch;
    this.#batch = "";
    this.#writing = this.#files.append(this.#path, batch).catch(() => undefined);
    await this.#writing;
    this.#writing = undefined;
    if (this.#batch.length >= BATCH_BYTES) void this.flush();
  }
}

export function compileAccessLogs(logs: readonly AccessLog[], files: AccessLogFiles, path: string): AccessLogs {
  const writers = logs.map((log, i) => compileOne(log, files, `${path}[${i}]`));
  return {
    any: writers.length > 0,
    write(record) {
      for (const write of writers) write(record);
    },
  };
}

function compileOne(log: AccessLog, files: AccessLogFiles, path: string): (record: AccessRecord) => void {
  const config = unpack(log.configType.case === "typedConfig" ? log.configType.value : undefined, `${path}.typed_config`);
  const at = `${path}.typed_config`;
  let file: LogFile;
  let format: Formatter;
  switch (config.$typeName) {
    case "envoy.extensions.access_loggers.file.v3.FileAccessLog": {
      const fileLog = config as FileAccessLog;
      file = files.file(fileLog.path);
      format = fileFormat(fileLog, at);
      break;
    }
    case "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog":
      file = files.file("/dev/stdout");
      format = streamFormat(config as StdoutAccessLog, at);
      break;
    case "envoy.extensions.access_loggers.stream.v3.StderrAccessLog":
      file = files.file("/dev/stderr");
      format = streamFormat(config as StderrAccessLog, at);
      break;
    default:
      throw new ConfigProblem(at, `${config.$typeName}: ${NOT_SUPPORTED}`);
  }
  return (record) => file.write(format(record));
}

function fileFormat(log: FileAccessLog, path: string): Formatter {
  const format = log.accessLogFormat;
  switch (format.case) {
    case "format":
      return compileTextFormat(format.value, `${path}.format`);
    case "jsonFormat":
    case "typedJsonFormat":
      return compileJsonFormat(format.value, `${path}.json_format`);
    case "logFormat":
      return substitutionFormat(format.value, `${path}.log_format`);
    default:
      return compileTextFormat(DEFAULT_FORMAT, path);
  }
}

function streamFormat(log: StdoutAccessLog | StderrAccessLog, path: string): Formatter {
  return log.accessLogFormat.case === "logFormat"
    ? substitutionFormat(log.accessLogFormat.value, `${path}.log_format`)
    : compileTextFormat(DEFAULT_FORMAT, path);
}

function substitutionFormat(format: SubstitutionFormatString, path: string): Formatter {
  const absent = format.omitEmptyValues ? "" : "-";
  switch (format.format.case) {
    case "textFormat":
      return compileTextFormat(format.format.value, `${path}.text_format`, absent);
    case "jsonFormat":
      return compileJsonFormat(format.format.value, `${path}.json_format`, format.omitEmptyValues);
    case "textFormatSource":
      return compileTextFormat(inlineData(format.format.value, `${path}.text_format_source`) ?? DEFAULT_FORMAT, path, absent);
    default:
      return compileTextFormat(DEFAULT_FORMAT, path);
  }
}
