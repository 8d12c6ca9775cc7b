/** How much of what could be generated is tried: a seeded sample, or all of it with WEFT_TEST_LONG=1. */

export const isLong = process.env["WEFT_TEST_LONG"] === "1";
/** WEFT_TEST_SEED repeats a run. */
export const seed = Number(process.env["WEFT_TEST_SEED"] ?? Math.floor(Math.random() * 0x7fffffff));

/** `wanted` of them, spread over all, another selection for each seed; all of them when long. */
export function sampleOf<T>(all: readonly T[], wanted: number): readonly T[] {
  if (isLong || all.length <= wanted) return all;
  const step = all.length / wanted;
  const offset = seed % Math.ceil(step);
  return Array.from({ length: wanted }, (_, i) => all[Math.min(all.length - 1, Math.floor(i * step) + offset)]).flatMap((item) =>
    item === undefined ? [] : [item],
  );
}
