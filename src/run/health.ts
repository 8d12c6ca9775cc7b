/** What a program says about itself on /healthz: named parts, each fine or with the reason why not. */
export interface HealthReport {
  readonly ok: boolean;
  /** One line a part: "[+]xds ok", "[-]api waiting for the first list". */
  readonly text: string;
}

export class Health {
  readonly #parts = new Map<string, string | undefined>();

  /** `reason` undefined: the part is fine. */
  set(part: string, reason: string | undefined): void {
    this.#parts.set(part, reason);
  }

  remove(part: string): void {
    this.#parts.delete(part);
  }

  report(): HealthReport {
    const lines = [...this.#parts].map(([part, reason]) => (reason === undefined ? `[+]${part} ok` : `[-]${part} ${reason}`));
    return { ok: [...this.#parts.values()].every((reason) => reason === undefined), text: `${lines.join("\n")}\n` };
  }
}
