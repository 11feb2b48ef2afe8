/** The most that the API gives at once. */
export const PAGE_SIZE = 100;

/** Which part of a list is asked for. */
export interface Page {
  /** From 1. Default: the first. */
  page?: number | undefined;
  /** Entries of a page, up to 100. Default: 20. */
  limit?: number | undefined;
}

/** Which part of a list with cursors is asked for. */
export interface CursorPage {
  /** The `nextCursor` of the page before. Default: the first page. */
  cursor?: string | undefined;
  /** Entries of a page, up to 100. Default: 20. */
  limit?: number | undefined;
}

/**
 * Walks a list from its first page to its last. What is added or removed meanwhile may appear twice or not at all.
 */
export async function* pages<T>(
  page: (number: number) => Promise<{ data: T[]; total: number }>,
): AsyncGenerator<T, void> {
  for (let number = 1, seen = 0; ; number++) {
    const { data, total } = await page(number);
    yield* data;
    seen += data.length;
    if (data.length < PAGE_SIZE || seen >= total) return;
  }
}

/** Walks a list by the cursor that each page gives for the next. */
export async function* cursors<T>(
  page: (cursor: string | undefined) => Promise<{ data: T[]; nextCursor?: string | undefined }>,
): AsyncGenerator<T, void> {
  for (let cursor: string | undefined; ; ) {
    const { data, nextCursor } = await page(cursor);
    yield* data;
    if (!nextCursor) return;
    cursor = nextCursor;
  }
}
