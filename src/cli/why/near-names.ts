/** What somebody may have meant who mistyped a name. */

const MOST = 4;

/** The nearest of the candidates: few letters differ, or one is the beginning of the other. */
export function nearNames(written: string, candidates: Iterable<string>): readonly string[] {
  const wanted = written.toLowerCase();
  const scored = [...new Set(candidates)].flatMap((name) => {
    const bare = name.slice(name.lastIndexOf("/") + 1).toLowerCase();
    const wantedBare = wanted.slice(wanted.lastIndexOf("/") + 1);
    // Generated names end in what nobody types.
    const ends = [...bare.matchAll(/[-.]|$/g)].map(({ index }) => index);
    const distance = Math.min(...ends.map((end) => editDistance(wantedBare, bare.slice(0, end))));
    const isNear = distance <= Math.max(1, Math.floor(wantedBare.length / 4)) || (wantedBare.length > 2 && bare.includes(wantedBare));
    return isNear ? [{ name, distance }] : [];
  });
  return scored
    .sort((a, b) => a.distance - b.distance || a.name.length - b.name.length || (a.name < b.name ? -1 : 1))
    .slice(0, MOST)
    .map(({ name }) => name);
}

/** Levenshtein's, with swapped neighbours as one mistake. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
