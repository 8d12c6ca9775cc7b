/** Percentages as Envoy writes them; a random value in [0, 1) is an argument. */
import { type FractionalPercent, FractionalPercent_DenominatorType } from "#wire/envoy/gen/envoy/type/v3/percent_pb.ts";

export function fractionOf(percent: FractionalPercent | undefined): number {
  if (percent === undefined) return 0;
  const { TEN_THOUSAND, MILLION } = FractionalPercent_DenominatorType;
  const denominator = percent.denominator === MILLION ? 1_000_000 : percent.denominator === TEN_THOUSAND ? 10_000 : 100;
  return percent.numerator / denominator;
}
