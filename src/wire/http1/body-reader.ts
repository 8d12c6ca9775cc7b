/** Reads one message's body from borrowed bytes, by length, by chunks or until the connection ends. */
import type { BodyReceiver } from "#wire/http/stream.ts";
import { ChunkScanner } from "./chunk-scanner.ts";
import { CHUNKED, UNTIL_CLOSE } from "./framing.ts";
import { type HeadLimits, HeadScanner } from "./head-scanner.ts";
import { CR, LF } from "./octets.ts";
import { type Http1Problem, PROBLEMS } from "./problem.ts";

const WHOLE = 0;
const LENGTH = 1;
const CHUNK_SIZE = 2;
const CHUNK_DATA = 3;
const CHUNK_CR = 4;
const CHUNK_LF = 5;
const TRAILERS = 6;
const TO_CLOSE = 7;

export class BodyReader {
  problem: Http1Problem | undefined;
  #state = WHOLE;
  #left = 0;
  #chunk: ChunkScanner | undefined;
  #trailers: HeadScanner | undefined;
  readonly #limits: HeadLimits;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  /** `framing` is a length or one of framing.ts' constants. */
  begin(framing: number): void {
    this.problem = undefined;
    if (framing === CHUNKED) {
      this.#state = CHUNK_SIZE;
      this.#chunk ??= new ChunkScanner();
      this.#chunk.reset();
    } else if (framing === UNTIL_CLOSE) this.#state = TO_CLOSE;
    else {
      this.#state = framing > 0 ? LENGTH : WHOLE;
      this.#left = framing;
    }
  }

  get whole(): boolean {
    return this.#state === WHOLE;
  }

  get untilClose(): boolean {
    return this.#state === TO_CLOSE;
  }

  /**
   * Gives body bytes to `receiver`, and the end when it is reached. Returns the position up to which bytes were used; stops
   * behind the message, or anywhere with `problem` set.
   */
  read(bytes: Uint8Array, start: number, receiver: BodyReceiver): number {
    let at = start;
    while (at < bytes.length) {
      switch (this.#state) {
        case WHOLE:
          return at;
        case TO_CLOSE:
          receiver.onBody(bytes, at, bytes.length);
          return bytes.length;
        case LENGTH:
        case CHUNK_DATA: {
          const take = Math.min(this.#left, bytes.length - at);
          this.#left -= take;
          const from = at;
          at += take;
          const done = this.#left === 0;
          if (done) this.#state = this.#state === LENGTH ? WHOLE : CHUNK_CR;
          receiver.onBody(bytes, from, at);
          if (done && this.#state === WHOLE) {
            receiver.onEnd(undefined);
            return at;
          }
          break;
        }
        case CHUNK_CR:
          if (bytes[at++] !== CR) return this.#fail(PROBLEMS.badChunkEnd, at);
          this.#state = CHUNK_LF;
          break;
        case CHUNK_LF:
          if (bytes[at++] !== LF) return this.#fail(PROBLEMS.badChunkEnd, at);
          this.#state = CHUNK_SIZE;
          break;
        case CHUNK_SIZE:
          at = this.#readChunkSize(bytes, at);
          if (this.problem !== undefined) return at;
          break;
        default:
          return this.#readTrailers(bytes, at, receiver);
      }
    }
    return at;
  }

  #readChunkSize(bytes: Uint8Array, at: number): number {
    const chunk = (this.#chunk ??= new ChunkScanner());
    const behind = chunk.read(bytes, at);
    if (behind < 0) {
      if (chunk.problem !== undefined) return this.#fail(chunk.problem, at);
      return bytes.length;
    }
    this.#left = chunk.size;
    chunk.reset();
    if (this.#left > 0) this.#state = CHUNK_DATA;
    else {
      this.#state = TRAILERS;
      this.#trailers ??= new HeadScanner(this.#limits, undefined);
      this.#trailers.reset();
    }
    return behind;
  }

  #readTrailers(bytes: Uint8Array, at: number, receiver: BodyReceiver): number {
    const scanner = (this.#trailers ??= new HeadScanner(this.#limits, undefined));
    const behind = scanner.read(bytes, at);
    if (behind < 0) {
      if (scanner.problem !== undefined) return this.#fail(scanner.problem, at);
      return bytes.length;
    }
    this.#state = WHOLE;
    receiver.onEnd(scanner.block.count > 0 ? scanner.block : undefined);
    scanner.block.takeBack();
    return behind;
  }

  #fail(problem: Http1Problem, at: number): number {
    this.problem = problem;
    return at;
  }
}
