/** A long list comes in pages, so that neither side holds all of it as one text. */
import { ApiRefusal } from "./api-error.ts";

export type Query = Readonly<Record<string, string | undefined>>;

export interface Page<T> {
  readonly items?: readonly T[] | null;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
}

export interface AllPages<T> {
  readonly items: readonly T[];
  readonly metadata: { readonly resourceVersion: string };
}

/** As Kubernetes' own clients. */
const PAGE = "500";

/** All pages show one moment. A server forgets that moment when reading takes minutes: then everything is asked for at once. */
export async function allPages<T>(request: (query: Query) => Promise<Page<T>>): Promise<AllPages<T>> {
  const items: T[] = [];
  let next: string | undefined;
  for (;;) {
    let page: Page<T>;
    try {
      page = await request({ limit: PAGE, continue: next });
    } catch (error) {
      if (next === undefined || !(error instanceof ApiRefusal) || !error.isExpired) throw error;
      const { items: all, metadata } = await request({});
      return { items: all ?? [], metadata };
    }
    for (const item of page.items ?? []) items.push(item);
    next = page.metadata.continue;
    if (next === undefined || next === "") return { items, metadata: page.metadata };
  }
}
