/** What a fixture needs of a test: a place to say how it ends. Every tap test is one. */
export interface Owner {
  teardown(end: () => unknown): unknown;
}
