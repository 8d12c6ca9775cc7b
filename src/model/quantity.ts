/** Resource quantities: "500m", "1Gi", "2e3" (apimachinery resource.Quantity). */
const suffixes: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The value as a number; undefined when the text is no quantity. */
export function parseQuantity(text: string): number | undefined {
  const found = /^([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i))?$/.exec(text);
  if (found === null) return undefined;
  const factor = found[2] === undefined ? suffixes[found[3] ?? ""] : Number(`1${found[2]}`);
  return factor === undefined ? undefined : Number(found[1]) * factor;
}
