/**
 * A kind's schema as a CustomResourceDefinition has it: structural (apiextensions v1), with the defaults and limits that stand
 * in the schema. Rules across fields are code of ours, which a foreign API server cannot run: those that say themselves in CEL
 * as well are refused by it at once; compilers take what breaks the others and say so in the object's status.
 */
import type { SchemaFacts } from "#model/schema.ts";

type Json = Readonly<Record<string, unknown>>;

export function structuralSchema(facts: SchemaFacts): Json {
  return { ...typeOf(facts), ...limits(facts), ...parts(facts), ...alternatives(facts), ...extensions(facts) };
}

function typeOf({ type, intOrString, format }: SchemaFacts): Json {
  if (intOrString === true) return { anyOf: [{ type: "integer" }, { type: "string" }], "x-kubernetes-int-or-string": true };
  if (type === undefined) return {};
  // A quantity is checked by nobody but us; the rest are formats that apiextensions knows.
  return { type, ...(format === undefined || format === "quantity" ? {} : { format }) };
}

function limits(facts: SchemaFacts): Json {
  const { pattern, enum: values, numberEnum } = facts;
  const names = ["required", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties", "nullable", "default"] as const;
  return {
    ...Object.fromEntries(names.flatMap((name) => (facts[name] === undefined ? [] : [[name, facts[name]]]))),
    ...(values === undefined && numberEnum === undefined ? {} : { enum: values ?? numberEnum }),
    // JavaScript escapes the slash in a source; RE2 has no such escape.
    ...(pattern === undefined ? {} : { pattern: pattern.source.replaceAll(String.raw`\/`, "/") }),
  };
}

function parts({ properties, items, additionalProperties }: SchemaFacts): Json {
  return {
    ...(properties === undefined ? {} : { properties: Object.fromEntries(Object.entries(properties).map(([name, of]) => [name, structuralSchema(of)])) }),
    ...(items === undefined ? {} : { items: structuralSchema(items) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: structuralSchema(additionalProperties) }),
  };
}

function alternatives({ oneOf }: SchemaFacts): Json {
  if (oneOf === undefined) return {};
  const each = oneOf.fields.map((field) => ({ required: [field] }));
  return { oneOf: oneOf.exactly === true ? each : [{ not: { anyOf: each } }, ...each] };
}

function extensions(facts: SchemaFacts): Json {
  const isOpen = facts.preserveUnknown === true || (facts.type === undefined && facts.intOrString !== true);
  const inCel = (facts.rules ?? []).flatMap(({ cel = [] }) => cel);
  return {
    ...(isOpen ? { "x-kubernetes-preserve-unknown-fields": true } : {}),
    ...(facts.listType === undefined ? {} : { "x-kubernetes-list-type": facts.listType }),
    ...(facts.listMapKeys === undefined ? {} : { "x-kubernetes-list-map-keys": facts.listMapKeys }),
    ...(facts.mapType === undefined ? {} : { "x-kubernetes-map-type": facts.mapType }),
    ...(inCel.length === 0 ? {} : { "x-kubernetes-validations": inCel }),
  };
}
