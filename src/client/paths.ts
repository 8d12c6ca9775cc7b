/** Where objects are in the API. */
import { KINDS, storedApiVersion, type KindId } from "#model/kinds.ts";

export function collectionOf(kind: KindId, namespace: string | undefined): string {
  const info = KINDS[kind];
  const root = `${info.group === "" ? "/api" : "/apis"}/${storedApiVersion(info)}`;
  return info.namespaced && namespace !== undefined ? `${root}/namespaces/${encodeURIComponent(namespace)}/${info.plural}` : `${root}/${info.plural}`;
}

export function pathOf(kind: KindId, { name, namespace }: { readonly name: string; readonly namespace?: string | undefined }): string {
  return `${collectionOf(kind, namespace)}/${encodeURIComponent(name)}`;
}
