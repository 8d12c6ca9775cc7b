/** Matches of texts as Envoy's StringMatcher. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { StringMatcherSchema, type StringMatcher } from "#wire/envoy/gen/envoy/type/matcher/v3/string_pb.ts";

export interface TextToMatch {
  readonly kind: "exact" | "prefix" | "suffix" | "regex" | "any";
  readonly value: string;
  readonly ignoreCase?: boolean;
}

export function stringMatcher({ kind, value, ignoreCase = false }: TextToMatch): StringMatcher {
  return create(StringMatcherSchema, { matchPattern: pattern(kind, value), ignoreCase });
}

function pattern(kind: TextToMatch["kind"], value: string): NonNullable<MessageInitShape<typeof StringMatcherSchema>["matchPattern"]> {
  switch (kind) {
    case "regex":
      return { case: "safeRegex", value: { regex: value } };
    case "any":
      return { case: "safeRegex", value: { regex: ".+" } };
    default:
      // An empty prefix or suffix, which Envoy refuses, means that anything will do.
      return value === "" && kind !== "exact" ? { case: "safeRegex", value: { regex: ".*" } } : { case: kind, value };
  }
}
