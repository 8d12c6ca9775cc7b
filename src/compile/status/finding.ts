/** What is to be said about an object: which field, and what follows from it. */

export interface Finding {
  /** `spec.http[0].route[0].destination.subset`. */
  readonly field: string;
  /** "workload": pods that may well come later, so nothing to warn of while things are being applied. */
  readonly about: "conflict" | "reference" | "workload" | "unsupported" | "invalid";
  /** The reason of a condition. */
  readonly reason: string;
  readonly message: string;
}

export function unsupported(field: string, message = "is not enforced (not supported yet)"): Finding {
  return { field, about: "unsupported", reason: "Unsupported", message };
}

export function reference(field: string, reason: string, message: string): Finding {
  return { field, about: "reference", reason, message };
}

export function noPods(field: string, message: string): Finding {
  return { field, about: "workload", reason: "NoMatchingPods", message };
}

export function conflict(field: string, message: string): Finding {
  return { field, about: "conflict", reason: "Conflicted", message };
}

export function invalid(field: string, message: string): Finding {
  return { field, about: "invalid", reason: "Invalid", message };
}

export function formatFinding({ field, message }: Finding): string {
  return /^(is|has|cannot|selects?|gives|names) /.test(message) ? `${field} ${message}` : `${field}: ${message}`;
}
