/** request_headers_to_add and its kin: what a route, its virtual host and the route configuration change in a head. */
import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import type { HeaderBlock } from "#wire/http/header-block.ts";
import { type HeaderName, headerName } from "#wire/http/header-name.ts";
import { type AccessRecord, compileTextFormat } from "#decide/access-log/access-log.ts";
import { ConfigProblem } from "#decide/config-problem.ts";

export type HeaderMutation = (headers: HeaderBlock, record: AccessRecord) => void;

/** An object that carries mutations of one direction. */
export interface MutationSource {
  readonly add: readonly HeaderValueOption[];
  readonly remove: readonly string[];
  readonly path: string;
}

/** undefined when there is nothing to change. Sources in the order in which they apply (most specific first). */
export function compileMutations(sources: readonly MutationSource[]): HeaderMutation | undefined {
  const steps = sources.flatMap(({ add, remove, path }) => [...remove.map(removal), ...add.map((option, i) => addition(option, `${path}[${i}]`))]);
  if (steps.length === 0) return undefined;
  return (headers, record) => {
    for (const step of steps) step(headers, record);
  };
}

function removal(name: string): HeaderMutation {
  if (name.startsWith(":") || name.toLowerCase() === "host") throw new ConfigProblem(name, "pseudo-headers and host cannot be removed");
  const interned = headerName(name);
  return (headers) => headers.remove(interned);
}

function addition(option: HeaderValueOption, path: string): HeaderMutation {
  const key = option.header?.key ?? "";
  const text = option.header?.value ?? "";
  if (key === "" || key.startsWith(":")) throw new ConfigProblem(`${path}.header.key`, `"${key}" cannot be added`);
  if (/[\r\n\0]/.test(text)) throw new ConfigProblem(`${path}.header.value`, "has a line break");
  const name = headerName(key);
  const value = text.includes("%") ? compileTextFormat(text, `${path}.header.value`, "") : () => text;
  const set = setter(option, name);
  const keepEmpty = option.keepEmptyValue;
  return (headers, record) => {
    const made = value(record);
    if (made !== "" || keepEmpty) set(headers, made);
  };
}

function setter(option: HeaderValueOption, name: HeaderName): (headers: HeaderBlock, value: string) => void {
  const { ADD_IF_ABSENT, OVERWRITE_IF_EXISTS_OR_ADD, OVERWRITE_IF_EXISTS } = HeaderValueOption_HeaderAppendAction;
  if (option.append === false || option.appendAction === OVERWRITE_IF_EXISTS_OR_ADD) return (headers, value) => headers.set(name, value);
  if (option.appendAction === ADD_IF_ABSENT) return (headers, value) => void (headers.has(name) || headers.add(name, value));
  if (option.appendAction === OVERWRITE_IF_EXISTS) return (headers, value) => void (headers.has(name) && headers.set(name, value));
  return (headers, value) => headers.add(name, value);
}
