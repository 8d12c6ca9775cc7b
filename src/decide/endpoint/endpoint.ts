/**
 * Which endpoint takes a request. The state (cursors, requests under way) is an argument, so a recorded choice can be
 * explained and a simulated one repeats. Priorities and localities first, then the policy among the hosts that are left.
 */
export interface EndpointState {
  readonly weight: number;
  /** Fit for traffic: EDS health is HEALTHY or UNKNOWN, and nothing ejected it. */
  readonly healthy: boolean;
  /** Requests (or connections) under way. */
  active: number;
}

export type BalancePolicy = { readonly kind: "round-robin" } | { readonly kind: "least-request"; readonly choices: number } | { readonly kind: "random" };

/** One priority's hosts. */
export interface HostSet<E extends EndpointState> {
  readonly healthy: readonly E[];
  readonly all: readonly E[];
  /** All healthy ones have the same weight. */
  readonly evenWeights: boolean;
  /** Round robin. */
  cursor: number;
  /** Smooth weighted round robin: credit per host. */
  readonly credit: Map<E, number>;
}

export interface Balancer<E extends EndpointState> {
  readonly policy: BalancePolicy;
  readonly priorities: readonly HostSet<E>[];
  /** Share of traffic per priority, adding up to 1; empty when there are no hosts. */
  readonly loads: readonly number[];
  /** Priorities with too few healthy hosts send to all of them (Envoy's panic mode). */
  readonly panic: readonly boolean[];
}

/** Envoy's default: a priority counts as fully able until fewer than 1/1.4 of its hosts are healthy. */
const OVERPROVISIONING = 1.4;

export function makeBalancer<E extends EndpointState>(policy: BalancePolicy, priorities: readonly (readonly E[])[], panicThreshold: number): Balancer<E> {
  const sets = priorities.map((hosts): HostSet<E> => {
    const healthy = hosts.filter((host) => host.healthy);
    return { healthy, all: hosts, evenWeights: healthy.every((host) => host.weight === healthy[0]?.weight), cursor: 0, credit: new Map() };
  });
  const ability = sets.map((set) => (set.all.length === 0 ? 0 : Math.min(1, (set.healthy.length / set.all.length) * OVERPROVISIONING)));
  const totalAbility = Math.min(
    1,
    ability.reduce((sum, a) => sum + a, 0),
  );
  let left = 1;
  const loads = ability.map((a) => {
    const load = totalAbility === 0 ? 0 : Math.min(left, a / totalAbility);
    left -= load;
    return load;
  });
  const firstWithHosts = sets.findIndex((set) => set.all.length > 0);
  if (totalAbility === 0 && firstWithHosts >= 0) loads[firstWithHosts] = 1;
  const panic = sets.map((set) => panicThreshold > 0 && set.all.length > 0 && set.healthy.length / set.all.length < panicThreshold && totalAbility < 1);
  return { policy, priorities: sets, loads: firstWithHosts < 0 ? [] : loads, panic };
}

/** undefined: there is no host to send to. `random` gives values in [0, 1). */
export function chooseEndpoint<E extends EndpointState>(balancer: Balancer<E>, random: () => number): E | undefined {
  const { priorities, loads } = balancer;
  let priority = 0;
  if (loads.length === 0) return undefined;
  if ((loads[0] ?? 0) < 1) {
    let left = random();
    while (priority < loads.length - 1 && left >= (loads[priority] ?? 0)) left -= loads[priority++] ?? 0;
  }
  const set = priorities[priority];
  if (set === undefined) return undefined;
  const hosts = balancer.panic[priority] === true ? set.all : set.healthy;
  if (hosts.length <= 1) return hosts[0];
  switch (balancer.policy.kind) {
    case "round-robin":
      return set.evenWeights || hosts !== set.healthy ? hosts[set.cursor++ % hosts.length] : weightedTurn(set, hosts);
    case "least-request":
      return leastOf(hosts, balancer.policy.choices, random);
    case "random":
      return set.evenWeights ? hosts[Math.floor(random() * hosts.length)] : weightedRandom(hosts, random());
  }
}

/** Everybody earns its weight; the richest takes the turn and pays the total. */
function weightedTurn<E extends EndpointState>(set: HostSet<E>, hosts: readonly E[]): E | undefined {
  let total = 0;
  let best: E | undefined;
  let bestCredit = -Infinity;
  for (const host of hosts) {
    const credit = (set.credit.get(host) ?? 0) + host.weight;
    set.credit.set(host, credit);
    total += host.weight;
    if (credit > bestCredit) {
      best = host;
      bestCredit = credit;
    }
  }
  if (best !== undefined) set.credit.set(best, bestCredit - total);
  return best;
}

function leastOf<E extends EndpointState>(hosts: readonly E[], choices: number, random: () => number): E | undefined {
  let best: E | undefined;
  let bestLoad = Infinity;
  for (let i = 0; i < choices; i++) {
    const host = hosts[Math.floor(random() * hosts.length)];
    if (host === undefined) continue;
    const load = (host.active + 1) / host.weight;
    if (load < bestLoad) {
      best = host;
      bestLoad = load;
    }
  }
  return best;
}

function weightedRandom<E extends EndpointState>(hosts: readonly E[], random: number): E | undefined {
  const total = hosts.reduce((sum, host) => sum + host.weight, 0);
  let left = random * total;
  for (const host of hosts) {
    left -= host.weight;
    if (left < 0) return host;
  }
  return hosts.at(-1);
}

/** Shares of an imagined request: what `weft why` prints when no state decides. */
export function endpointShares<E extends EndpointState>(balancer: Balancer<E>): { readonly endpoint: E; readonly share: number }[] {
  return balancer.priorities.flatMap((set, p) => {
    const hosts = balancer.panic[p] === true ? set.all : set.healthy;
    const total = hosts.reduce((sum, host) => sum + host.weight, 0);
    const load = balancer.loads[p] ?? 0;
    return load === 0 ? [] : hosts.map((endpoint) => ({ endpoint, share: (load * endpoint.weight) / total }));
  });
}
