/** Records what a connection's handler hears, and lets a test wait for it. */
import type { Clock } from "#host/clock.ts";
import type { ConnectionHandler, NetError } from "#host/net.ts";

export class Tape implements ConnectionHandler {
  connected = 0;
  bytes = 0;
  text = "";
  ended = 0;
  drained = 0;
  closed = 0;
  error: NetError | undefined;
  readonly #clock: Clock;
  readonly #keepText: boolean;
  constructor(clock: Clock, options: { readonly keepText?: boolean } = {}) {
    this.#clock = clock;
    this.#keepText = options.keepText ?? true;
  }
  onConnect(): void {
    this.connected += 1;
  }
  onData(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (this.#keepText) this.text += Buffer.from(bytes).toString("latin1");
  }
  onEnd(): void {
    this.ended += 1;
  }
  onDrain(): void {
    this.drained += 1;
  }
  onClose(error?: NetError): void {
    this.closed += 1;
    this.error = error;
  }
  #summary(): string {
    const { connected, bytes, ended, drained, closed, error } = this;
    return JSON.stringify({ connected, bytes, ended, drained, closed, error, text: this.text.slice(0, 200) });
  }

  /** Until `done`; fails the test after 5 s. */
  async until(done: (tape: Tape) => boolean, what: string): Promise<this> {
    const deadline = this.#clock.monotonic() + 5_000;
    while (!done(this)) {
      if (this.#clock.monotonic() > deadline) throw new Error(`waited 5 s for: ${what}; heard ${this.#summary()}`);
      await this.#clock.sleep(1);
    }
    return this;
  }
}
