/** metadata.managedFields: who set which field. Kept for every write, so that server-side apply knows conflicts. */
import { structurallyEqual } from "#lib/equal.ts";
import type { KindInfo } from "#model/kinds.ts";
import type { KubeObject } from "#model/object.ts";
import { changedFields, difference, fieldsOf, isEmpty, ownable, present, union, type FieldSet } from "./field-set.ts";

export interface ManagedFields {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly time?: string;
  readonly fieldsType: "FieldsV1";
  readonly fieldsV1: FieldSet;
  readonly subresource?: string;
}

export interface Writer {
  readonly manager: string;
  readonly apiVersion: string;
  readonly time: string;
  readonly subresource: string | undefined;
}

export function managedFieldsOf(object: KubeObject | undefined): readonly ManagedFields[] {
  return (object?.metadata.managedFields ?? []) as readonly ManagedFields[];
}

export function isOf(entry: ManagedFields, writer: Writer, operation: "Apply" | "Update"): boolean {
  return entry.manager === writer.manager && entry.operation === operation && entry.subresource === writer.subresource;
}

/** The accounts after an ordinary write: what it changed is the writer's, what it removed is nobody's. */
export function trackUpdate(info: KindInfo, before: KubeObject | undefined, after: KubeObject, writer: Writer): readonly ManagedFields[] {
  const next = ownable(after);
  const changed = changedFields(info.schema, before === undefined ? undefined : ownable(before), next);
  return account(managedFieldsOf(before), writer, "Update", { gained: changed, existing: fieldsOf(info.schema, next) });
}

interface Accounting {
  /** The writer's from now on, and no other's. */
  readonly gained: FieldSet;
  /** The writer's too, shared with others. */
  readonly shared?: FieldSet;
  /** The writer's whole set: replaces what it had. */
  readonly replaces?: boolean;
  readonly existing: FieldSet;
}

export function account(entries: readonly ManagedFields[], writer: Writer, operation: "Apply" | "Update", of: Accounting): readonly ManagedFields[] {
  const result: ManagedFields[] = [];
  let found = false;
  const own = union(of.gained, of.shared ?? {});
  for (const entry of entries) {
    if (isOf(entry, writer, operation)) {
      found = true;
      const fields = present(of.replaces === true ? own : union(entry.fieldsV1, own), of.existing);
      const isSame = structurallyEqual(fields, entry.fieldsV1) && entry.apiVersion === writer.apiVersion;
      if (!isEmpty(fields)) result.push(isSame ? entry : { ...entry, apiVersion: writer.apiVersion, time: writer.time, fieldsV1: fields });
    } else {
      const fields = present(difference(entry.fieldsV1, of.gained), of.existing);
      if (!isEmpty(fields)) result.push(structurallyEqual(fields, entry.fieldsV1) ? entry : { ...entry, fieldsV1: fields });
    }
  }
  if (!found && !isEmpty(own)) {
    const { manager, apiVersion, time, subresource } = writer;
    result.push({ manager, operation, apiVersion, time, fieldsType: "FieldsV1", fieldsV1: own, ...(subresource === undefined ? {} : { subresource }) });
  }
  return result;
}
