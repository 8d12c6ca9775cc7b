/** The API server's refusal, with its Status. */
export interface ApiStatus {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly causes: readonly { readonly field?: string; readonly message: string; readonly reason?: string }[];
}

export class ApiRefusal extends Error {
  readonly status: ApiStatus;
  constructor(what: string, status: ApiStatus) {
    super(`${what}: ${status.message}`);
    this.name = "ApiRefusal";
    this.status = status;
  }

  get isNotFound(): boolean {
    return this.status.code === 404;
  }

  /** Somebody else changed the object, or it is there already. */
  get isConflict(): boolean {
    return this.status.code === 409;
  }

  /** The revision is no longer known: list again. */
  get isExpired(): boolean {
    return this.status.code === 410;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiRefusal && error.isNotFound;
}

export function isConflict(error: unknown): boolean {
  return error instanceof ApiRefusal && error.isConflict;
}

/** From an answer's body, which may be no Status at all (a proxy's page). */
export function statusOf(code: number, body: string): ApiStatus {
  const nothing = { code, reason: "", message: body === "" ? `answered ${code}` : `answered ${code}: ${body.slice(0, 500)}`, causes: [] };
  try {
    const status = JSON.parse(body) as {
      readonly kind?: string;
      readonly code?: number;
      readonly reason?: string;
      readonly message?: string;
      readonly details?: { readonly causes?: ApiStatus["causes"] };
    };
    if (status.kind !== "Status") return nothing;
    return { code: status.code ?? code, reason: status.reason ?? "", message: status.message ?? "", causes: status.details?.causes ?? [] };
  } catch {
    return nothing;
  }
}
