/** RFC 6902 (JSON Patch) over RFC 6901 (JSON Pointer). Never changes its input. */
import { structurallyEqual } from "#lib/equal.ts";
import { isRecord } from "#model/decode.ts";

/** The patch is malformed (`malformed`) or does not fit the document. */
export class PatchError extends Error {
  readonly malformed: boolean;
  constructor(message: string, malformed = false) {
    super(message);
    this.name = "PatchError";
    this.malformed = malformed;
  }
}

/** More would be a way to keep the server busy; Kubernetes has the same limit. */
const MAX_OPERATIONS = 10_000;
/** Of all values copied together: forty copies of a whole into itself would fill any memory. Kubernetes has the same limit. */
const MAX_COPY_BYTES = 3 * 1024 * 1024;

interface Budget {
  copyBytes: number;
}

export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new PatchError("a JSON patch is an array of operations", true);
  if (patch.length > MAX_OPERATIONS) throw new PatchError(`the allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`, true);
  let result = document;
  const budget: Budget = { copyBytes: MAX_COPY_BYTES };
  for (const operation of patch as readonly unknown[]) result = applyOperation(result, operation, budget);
  return result;
}

function applyOperation(document: unknown, operation: unknown, budget: Budget): unknown {
  if (!isRecord(operation)) throw new PatchError("an operation of a JSON patch is an object", true);
  const { op } = operation;
  const path = pointer(operation["path"], "path");
  switch (op) {
    case "add":
      return add(document, path, valueOf(operation));
    case "remove":
      return remove(document, path);
    case "replace":
      return replace(document, path, valueOf(operation));
    case "move": {
      const from = pointer(operation["from"], "from");
      if (path.length > from.length && from.every((part, index) => part === path[index])) throw new PatchError(`cannot move ${show(from)} into itself`);
      return add(remove(document, from), path, get(document, from));
    }
    case "copy": {
      const value = get(document, pointer(operation["from"], "from"));
      budget.copyBytes -= JSON.stringify(value).length;
      if (budget.copyBytes < 0) throw new PatchError(`the copies of a JSON patch may not be larger than ${MAX_COPY_BYTES} bytes together`);
      return add(document, path, value);
    }
    case "test":
      if (structurallyEqual(get(document, path), valueOf(operation))) return document;
      throw new PatchError(`testing value ${show(path)} failed`);
    default:
      throw new PatchError(`unknown operation ${JSON.stringify(op)}`, true);
  }
}

function valueOf(operation: Readonly<Record<string, unknown>>): unknown {
  if (!Object.hasOwn(operation, "value")) throw new PatchError(`operation ${JSON.stringify(operation["op"])} needs a value`, true);
  return operation["value"];
}

function pointer(text: unknown, field: string): readonly string[] {
  if (typeof text !== "string") throw new PatchError(`an operation of a JSON patch needs ${JSON.stringify(field)}`, true);
  if (text === "") return [];
  if (!text.startsWith("/")) throw new PatchError(`${JSON.stringify(text)} is no JSON pointer: it must start with /`, true);
  const parts = text.slice(1).split("/");
  if (parts.some((part) => /~(?![01])/.test(part))) throw new PatchError(`${JSON.stringify(text)} is no JSON pointer: ~ must be followed by 0 or 1`, true);
  return parts.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function show(path: readonly string[]): string {
  return JSON.stringify(path.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""));
}

function get(document: unknown, path: readonly string[]): unknown {
  let value = document;
  for (const [depth, part] of path.entries()) {
    const where = path.slice(0, depth + 1);
    if (Array.isArray(value)) value = (value as readonly unknown[])[indexOf(part, value.length - 1, where)];
    else if (isRecord(value) && Object.hasOwn(value, part)) value = value[part];
    else throw new PatchError(`path ${show(where)} does not exist`);
  }
  return value;
}

function indexOf(part: string, last: number, path: readonly string[]): number {
  if (!/^(0|[1-9][0-9]*)$/.test(part)) throw new PatchError(`${show(path)}: ${JSON.stringify(part)} is no index`);
  if (Number(part) > last) throw new PatchError(`${show(path)}: index is out of range`);
  return Number(part);
}

/** The document with `change` applied to the container that holds the last part of the path. */
function inside(document: unknown, path: readonly string[], change: (container: unknown, last: string) => unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) throw new PatchError("the whole document cannot be removed");
  if (rest.length === 0) return change(document, first);
  if (Array.isArray(document)) {
    const index = indexOf(first, document.length - 1, path);
    return (document as readonly unknown[]).with(index, inside(document[index], rest, change));
  }
  if (!isRecord(document) || !Object.hasOwn(document, first)) throw new PatchError(`path ${show(path)} does not exist`);
  return withField(document, first, inside(document[first], rest, change));
}

function add(document: unknown, path: readonly string[], value: unknown): unknown {
  if (path.length === 0) return value;
  return inside(document, path, (container, last) => {
    if (Array.isArray(container)) {
      const items = container as readonly unknown[];
      return items.toSpliced(last === "-" ? items.length : indexOf(last, items.length, path), 0, value);
    }
    if (!isRecord(container)) throw new PatchError(`path ${show(path)} does not exist`);
    return withField(container, last, value);
  });
}

function remove(document: unknown, path: readonly string[]): unknown {
  return inside(document, path, (container, last) => {
    if (Array.isArray(container)) return (container as readonly unknown[]).toSpliced(indexOf(last, container.length - 1, path), 1);
    if (!isRecord(container) || !Object.hasOwn(container, last)) throw new PatchError(`path ${show(path)} does not exist`);
    return Object.fromEntries(Object.entries(container).filter(([name]) => name !== last));
  });
}

function replace(document: unknown, path: readonly string[], value: unknown): unknown {
  if (path.length === 0) return value;
  get(document, path);
  return inside(document, path, (container, last) => {
    if (Array.isArray(container)) return (container as readonly unknown[]).with(Number(last), value);
    return withField(container as Readonly<Record<string, unknown>>, last, value);
  });
}

/** Computed keys make "__proto__" an ordinary field. */
function withField(container: Readonly<Record<string, unknown>>, name: string, value: unknown): unknown {
  return { ...container, [name]: value };
}
