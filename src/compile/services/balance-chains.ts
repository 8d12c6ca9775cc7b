/**
 * The chains that choose an endpoint. They are shared by all Services: one for each number of endpoints, and one more for
 * each time that clients are to be remembered. What belongs to a single port is in maps.
 *
 * A client is remembered by the mark of the endpoint that it was given, not by its number, which changes when others go.
 * The mark is kept on the connection, because that is where a rule can put what it has looked up; nothing else reads it.
 */
import { is, isNot, type Chain, type Field, type Rule } from "#lib/nft-ruleset.ts";

export const PORT_KEY: readonly Field[] = ["ip daddr", "meta l4proto", "th dport"];
const CLIENT_KEY: readonly Field[] = ["ip saddr", ...PORT_KEY];
const MARK_KEY: readonly Field[] = [...PORT_KEY, "ct mark"];
const PROTOCOLS = ["tcp", "udp"] as const;

export interface BalanceChain {
  readonly count: number;
  /** The number of the first. */
  readonly offset: number;
  /** How long a client is remembered; 0: not at all. */
  readonly seconds: number;
}

export function balanceChainName({ count, offset, seconds }: BalanceChain): string {
  return `${seconds === 0 ? "endpoints" : "sticky"}-${count}${offset === 0 ? "" : `-from-${offset}`}${seconds === 0 ? "" : `-${seconds}s`}`;
}

export function balanceChain(chain: BalanceChain): Chain {
  return { name: balanceChainName(chain), rules: chain.seconds === 0 ? spread(chain) : remembered(chain) };
}

const drawn = ({ count, offset }: BalanceChain) => ({ fields: PORT_KEY, modulo: count, ...(offset === 0 ? {} : { offset }) });

function spread(chain: BalanceChain): Rule[] {
  return PROTOCOLS.map((protocol): Rule => ({
    matches: [is("meta l4proto", protocol)],
    statements: [{ kind: "dnat", ...drawn(chain), map: `endpoints-${protocol}` }],
  }));
}

function remembered(chain: BalanceChain): Rule[] {
  const learn = { kind: "learn", fields: CLIENT_KEY, map: "clients", seconds: chain.seconds } as const;
  const send = (protocol: "tcp" | "udp") => ({ kind: "dnat", fields: MARK_KEY, map: `sticky-${protocol}` }) as const;
  return [
    {
      matches: [],
      statements: [{ kind: "mark", fields: CLIENT_KEY, map: "clients" }],
      comment: "the endpoint that this client had before",
    },
    ...PROTOCOLS.map((protocol): Rule => ({ matches: [is("meta l4proto", protocol), isNot("ct mark", "0x0")], statements: [learn, send(protocol)] })),
    { matches: [], statements: [{ kind: "unlearn", fields: CLIENT_KEY, map: "clients" }], comment: "it has gone" },
    { matches: [], statements: [{ kind: "mark", ...drawn(chain), map: "marks" }], comment: "another one" },
    ...PROTOCOLS.map((protocol): Rule => ({ matches: [is("meta l4proto", protocol)], statements: [learn, send(protocol)] })),
    // The map of clients is full.
    ...PROTOCOLS.map((protocol): Rule => ({ matches: [is("meta l4proto", protocol)], statements: [send(protocol)] })),
  ];
}

/** What it costs at most: about 100 bytes a client, and only while one is remembered. */
const MAX_CLIENTS = 262_144;

export const CLIENTS_MAP = { name: "clients", key: CLIENT_KEY, numbered: false, data: "mark", learns: MAX_CLIENTS, elements: [] } as const;
export const STICKY_KEY = MARK_KEY;
