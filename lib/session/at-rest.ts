/**
 * What a search for a backend holds before it and after it, shared by all of them: there are thousands of sessions, and
 * most of a session's life comes after it.
 */
export const NOTHING: readonly never[] = [];
