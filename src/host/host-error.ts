/** The machine refused: what was asked (`subject`: a path, a command, an address), why (`code`), and the cause. */
export class HostError extends Error {
  readonly code: string;
  readonly subject: string;
  constructor(code: string, subject: string, message: string, options?: { cause?: unknown }) {
    super(`${subject}: ${message}`, options);
    this.name = "HostError";
    this.code = code;
    this.subject = subject;
  }
}
