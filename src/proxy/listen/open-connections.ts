/** The connections of one listener, so that it can drain. */
export interface Drainable {
  /** Ends as soon as nothing is under way. */
  drain(): void;
  /** Ends now. */
  close(): void;
}

export type OpenConnections = Set<Drainable>;
