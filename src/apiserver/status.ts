/** What goes wrong, as Kubernetes says it: a Status with code, reason, message and causes. Thrown inside the server, answered at its edge. */
import type { KindInfo } from "#model/kinds.ts";
import { formatProblem, type Problem } from "#model/problem.ts";

export interface Status {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly metadata: Readonly<Record<string, never>>;
  readonly status: "Failure" | "Success";
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly { readonly reason?: string; readonly message: string; readonly field?: string }[];
  readonly retryAfterSeconds?: number;
}

const codes: Readonly<Record<string, number>> = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  Gone: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  InternalError: 500,
  NotImplemented: 501,
  BadGateway: 502,
  ServiceUnavailable: 503,
  Timeout: 504,
};

export class ApiError extends Error {
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  constructor(reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.name = "ApiError";
    this.reason = reason;
    this.details = details;
  }

  get code(): number {
    return codes[this.reason] ?? 500;
  }

  status(): Status {
    const { message, reason, details, code } = this;
    return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, ...(details === undefined ? {} : { details }), code };
  }
}

export function success(info: KindInfo, name: string, uid: string | undefined): Status {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details: { ...of(info, name), ...(uid === undefined ? {} : { uid }) } };
}

/** "deployments.apps". */
export function resourceName(info: Pick<KindInfo, "plural" | "group">): string {
  return info.group === "" ? info.plural : `${info.plural}.${info.group}`;
}

function of(info: KindInfo, name: string): StatusDetails {
  return { name, ...(info.group === "" ? {} : { group: info.group }), kind: info.plural };
}

export function notFound(info: KindInfo, name: string): ApiError {
  return new ApiError("NotFound", `${resourceName(info)} ${JSON.stringify(name)} not found`, of(info, name));
}

export function alreadyExists(info: KindInfo, name: string): ApiError {
  return new ApiError("AlreadyExists", `${resourceName(info)} ${JSON.stringify(name)} already exists`, of(info, name));
}

export function conflict(
  info: KindInfo,
  name: string,
  why = "the object has been modified; please apply your changes to the latest version and try again",
): ApiError {
  return new ApiError("Conflict", `Operation cannot be fulfilled on ${resourceName(info)} ${JSON.stringify(name)}: ${why}`, of(info, name));
}

export function invalid(info: KindInfo, name: string, problems: readonly Problem[]): ApiError {
  const texts = problems.map(formatProblem);
  const kind = info.group === "" ? info.kind : `${info.kind}.${info.group}`;
  const message = `${kind} ${JSON.stringify(name)} is invalid: ${texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`}`;
  const causes = problems.map(({ reason, message: text, field }) => ({ reason, message: text, field }));
  return new ApiError("Invalid", message, { name, ...(info.group === "" ? {} : { group: info.group }), kind: info.kind, causes });
}

export function badRequest(message: string): ApiError {
  return new ApiError("BadRequest", message);
}
