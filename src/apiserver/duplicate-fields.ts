/** Fields that JSON text has twice in one object: JSON.parse takes the last and says nothing, Kubernetes tells the author. */
interface Level {
  /** "spec.containers[0]"; "" at the top. */
  readonly path: string;
  /** undefined: an array. */
  readonly names: Set<string> | undefined;
  /** The field or item that stands here. */
  name: string;
  index: number;
  awaitsName: boolean;
}

/** Their paths ("spec.containers[0].name"), in order. The text must be valid JSON. */
export function duplicateFields(text: string): readonly string[] {
  const found: string[] = [];
  const levels: Level[] = [];
  const enter = (names: Level["names"]) => {
    const above = levels.at(-1);
    const path = above === undefined ? "" : above.names === undefined ? `${above.path}[${above.index}]` : fieldIn(above.path, above.name);
    levels.push({ path, names, name: "", index: 0, awaitsName: names !== undefined });
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    const level = levels.at(-1);
    if (character === "{") enter(new Set());
    else if (character === "[") enter(undefined);
    else if (character === "}" || character === "]") levels.pop();
    else if (character === "," && level !== undefined) {
      level.index++;
      level.awaitsName = level.names !== undefined;
    } else if (character === '"') {
      const end = endOfString(text, at);
      if (level?.names !== undefined && level.awaitsName) {
        level.name = JSON.parse(text.slice(at, end + 1)) as string;
        level.awaitsName = false;
        if (level.names.has(level.name)) found.push(fieldIn(level.path, level.name));
        level.names.add(level.name);
      }
      at = end;
    }
  }
  return found;
}

function fieldIn(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}
