/** Where a codec writes: a connection of the host fits. */
export interface ByteOutput {
  write(chunk: Uint8Array | string): void;
  writeBorrowed(bytes: Uint8Array, start: number, end: number): void;
  readonly bufferedBytes: number;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(reset?: boolean): void;
}

/** What writes whole pieces needs no more of it. */
export type PieceOutput = Pick<ByteOutput, "write" | "writeBorrowed">;
