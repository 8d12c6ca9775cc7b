/** Regular expressions that users write: RE2's syntax. One that is not would make proxies refuse all routes beside it. */
import { RE2JS } from "re2js";

/** What is wrong with it; undefined: nothing. */
export function regexProblem(expression: string): string | undefined {
  try {
    RE2JS.compile(expression);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
