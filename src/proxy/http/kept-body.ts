/** What has come of a request's body before there was a connection for it, or in case it must be sent once more. */
import type { UpstreamAttempt } from "./upstream-attempt.ts";

/** More than this is not kept for another try, and stops the client while there is no connection to send it on. */
const LIMIT_BYTES = 64 * 1024;

export class KeptBody {
  #chunks: Uint8Array[] | undefined;
  #bytes = 0;
  /** What was sent is kept too: the route may try again. */
  forRetry = false;

  /** False: that is more than is kept. What was not sent yet is kept all the same. */
  add(borrowed: Uint8Array, isSent: boolean): boolean {
    const fits = this.#bytes + borrowed.length <= LIMIT_BYTES;
    if (!fits && isSent) {
      this.forRetry = false;
      this.#forget();
    } else {
      this.#bytes += borrowed.length;
      (this.#chunks ??= []).push(new Uint8Array(borrowed));
    }
    return fits;
  }

  sendTo(attempt: UpstreamAttempt): void {
    if (this.#chunks === undefined) return;
    for (const bytes of this.#chunks) attempt.sendBody(bytes, 0, bytes.length);
    if (!this.forRetry) this.#forget();
  }

  #forget(): void {
    this.#chunks = undefined;
    this.#bytes = 0;
  }
}
