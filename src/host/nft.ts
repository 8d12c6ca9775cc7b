/** nftables: one transaction of `nft -f -` text at a time, in a network namespace. */
export interface Nft {
  /** Applies atomically; rejects with HostError that quotes nft's message and the line. `netns` undefined: our own. */
  apply(ruleset: string, netns?: string): Promise<void>;
  /** `nft -a list ruleset` text, for tests and diagnosis. */
  list(netns?: string): Promise<string>;
}
