/** Which histories a run of the tests plays: one by default, many in the long mode, all following from WEFT_TEST_SEED. */
const first = Number(process.env["SEED"] ?? Number(process.env["WEFT_TEST_SEED"] ?? 1) % 1_000_000);
const isLong = process.env["WEFT_TEST_LONG"] === "1" && process.env["SEED"] === undefined;

export function seedsOf(inLongMode: number): readonly number[] {
  return Array.from({ length: isLong ? inLongMode : 1 }, (_, i) => first + i);
}

/** Failures say how to see them again. */
export async function replayable<T>(file: string, seed: number, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new Error(`${text}\nseed ${seed}; replay: SEED=${seed} node --test sim/${file}`, { cause: error });
  }
}
