/** nftables: one transaction of `nft -f -` text at a time, in a network namespace. */
export interface Nft {
  /** Applies atomically; rejects with HostError that quotes nft's message and the line. `netns` undefined: our own. */
  apply(ruleset: string, netns?: string): Promise<void>;
  /**
   * What is in a map now, as `add element` takes it ("KEY timeout 3h expires 2h1m : VALUE, ..."): also what rules have added. Empty:
   * nothing, or there is no such map.
   */
  elements(map: { readonly family: string; readonly table: string; readonly name: string }, netns?: string): Promise<string>;
  /** `nft -a list ruleset` text, for tests and diagnosis. */
  list(netns?: string): Promise<string>;
}
