/**
 * The counts between which a share of `probability` among `trials` stays, but for one run in `1 / error`: the exact tails
 * of the binomial distribution, half of the error on each side.
 */
export function binomialBounds(trials: number, probability: number, error: number): { readonly low: number; readonly high: number } {
  const tail = error / 2;
  return { low: firstAbove(trials, probability, tail), high: trials - firstAbove(trials, 1 - probability, tail) };
}

/** The smallest count whose cumulated probability exceeds `tail`. In logarithms: 0.9^1000 is 10^-46. */
function firstAbove(trials: number, probability: number, tail: number): number {
  let logTerm = trials * Math.log1p(-probability);
  let sum = 0;
  for (let count = 0; count <= trials; count += 1) {
    sum += Math.exp(logTerm);
    if (sum > tail) return count;
    logTerm += Math.log((trials - count) / (count + 1)) + Math.log(probability) - Math.log1p(-probability);
  }
  return trials;
}
