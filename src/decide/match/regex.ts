/**
 * Regular expressions with RE2's syntax and linear time. The whole text must match, as Envoy's RegexMatcher wants. What is
 * no more than a literal with `.*` at an end is compared as a string: that is most of what control planes send.
 */
import { RE2JS } from "re2js";
import type { RegexMatcher } from "#wire/envoy/gen/envoy/type/matcher/v3/regex_pb.ts";
import { ConfigProblem } from "#decide/config-problem.ts";

export type StringTest = (text: string) => boolean;

const SPECIAL = /[\\^$.|?*+()[\]{}]/;

export function compileRegex(regex: string, path: string): StringTest {
  const simple = simpleTest(regex);
  if (simple !== undefined) return simple;
  const compiled = compileRe2(regex, path);
  return (text) => compiled.testExact(text);
}

export function compileRegexMatcher(matcher: RegexMatcher, path: string): StringTest {
  return compileRegex(matcher.regex, `${path}.regex`);
}

export function compileRe2(regex: string, path: string): RE2JS {
  try {
    return RE2JS.compile(regex);
  } catch (error) {
    throw new ConfigProblem(path, `"${regex}" is not an RE2 expression: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Values of HTTP heads have no line breaks, so `.*` is "anything" there. */
function simpleTest(regex: string): StringTest | undefined {
  if (regex === ".*") return () => true;
  if (regex === ".+") return (text) => text !== "";
  const leading = regex.startsWith(".*");
  const trailing = regex.endsWith(".*") && !regex.endsWith("\\.*");
  const literal = unescaped(regex.slice(leading ? 2 : 0, trailing && regex.length >= (leading ? 4 : 2) ? -2 : undefined));
  if (literal === undefined) return undefined;
  if (leading && trailing) return (text) => text.includes(literal);
  if (leading) return (text) => text.endsWith(literal);
  if (trailing) return (text) => text.startsWith(literal);
  return (text) => text === literal;
}

/** The text that the expression spells; undefined when it is more than a literal. */
function unescaped(regex: string): string | undefined {
  if (!SPECIAL.test(regex)) return regex;
  let out = "";
  for (let i = 0; i < regex.length; i++) {
    const c = regex.charAt(i);
    if (c === "\\") {
      const next = regex.charAt(++i);
      if (next === "" || /[A-Za-z0-9]/.test(next)) return undefined;
      out += next;
    } else if (SPECIAL.test(c)) return undefined;
    else out += c;
  }
  return out;
}

/** Replaces every match, with `\1` for groups, as Envoy's RegexMatchAndSubstitute does. */
export function compileSubstitution(regex: string, substitution: string, path: string): (text: string) => string {
  const compiled = compileRe2(regex, path);
  const parts = substitution.split(/(\\\d|\\\\)/);
  return (text) => {
    const matcher = compiled.matcher(text);
    let out = "";
    let from = 0;
    while (matcher.find()) {
      out += text.slice(from, matcher.start());
      for (const part of parts) {
        if (part === "\\\\") out += "\\";
        else if (part.length === 2 && part.startsWith("\\")) out += matcher.group(Number(part.charAt(1))) ?? "";
        else out += part;
      }
      from = matcher.end();
    }
    return out + text.slice(from);
  };
}
