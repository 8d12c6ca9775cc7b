/** A cluster at work: its endpoints by priority, how one is chosen, and how connections to it are made. */
import { type BalancePolicy, type Balancer, chooseEndpoint, makeBalancer } from "#decide/endpoint/endpoint.ts";
import type { Clock } from "#host/clock.ts";
import type { Connection, ConnectionHandler, Net } from "#host/net.ts";
import type { Random } from "#host/random.ts";
import type { Cluster } from "#wire/envoy/gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { TurnClock } from "#proxy/turn-clock.ts";
import type { ClusterStats } from "./cluster-stats.ts";
import { Endpoint, type EndpointSettings } from "./endpoint.ts";

export interface Breakers {
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
}

export interface ClusterSettings {
  readonly name: string;
  readonly message: Cluster;
  readonly policy: BalancePolicy;
  readonly panicThreshold: number;
  readonly breakers: Breakers;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxRequestsPerConnection: number;
  /** SO_MARK of upstream sockets. */
  readonly mark: number | undefined;
  readonly sourceIp: string | undefined;
  readonly originalDestination: boolean;
  readonly portOverride: number | undefined;
  /** The object it came from. */
  readonly by: string | undefined;
}

export interface ClusterMachine {
  readonly net: Net;
  readonly clock: Clock;
  readonly turn: TurnClock;
  readonly random: Random;
}

/** An endpoint as the assignment has it. */
export interface AssignedEndpoint extends EndpointSettings {
  readonly weight: number;
  readonly healthStatus: number;
  readonly healthy: boolean;
}

const NOWHERE = { region: "", zone: "", subZone: "" };

export class ClusterRuntime {
  readonly name: string;
  readonly settings: ClusterSettings;
  readonly stats: ClusterStats;
  readonly breakers: Breakers;
  readonly maxRequestsPerConnection: number;
  readonly #machine: ClusterMachine;
  readonly #random: () => number;
  #endpoints = new Map<string, Endpoint>();
  #balancer: Balancer<Endpoint>;
  /** Too few are healthy, so all are used. */
  #panicking = false;
  removed = false;
  /** Endpoints have been told (EDS answered, names resolved). */
  warmed = false;

  constructor(settings: ClusterSettings, stats: ClusterStats, machine: ClusterMachine) {
    this.name = settings.name;
    this.settings = settings;
    this.stats = stats;
    this.breakers = settings.breakers;
    this.maxRequestsPerConnection = settings.maxRequestsPerConnection;
    this.#machine = machine;
    this.#random = () => machine.random.next();
    this.#balancer = makeBalancer<Endpoint>(settings.policy, [], 0);
  }

  nowMs(): number {
    return this.#machine.turn.ms;
  }

  get endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values();
  }

  /** Replaces the endpoints; those that stay keep their connections. */
  assign(assigned: readonly AssignedEndpoint[]): void {
    const next = new Map<string, Endpoint>();
    const priorities: Endpoint[][] = [];
    for (const one of assigned) {
      const key = `${one.text} ${one.transport}`;
      if (next.has(key)) continue;
      const known = this.#endpoints.get(key);
      const endpoint = known !== undefined && known.settings.tls === one.tls && known.settings.hostname === one.hostname ? known : new Endpoint(this, one);
      endpoint.weight = one.weight;
      endpoint.healthy = one.healthy;
      endpoint.healthStatus = one.healthStatus;
      next.set(key, endpoint);
      while (priorities.length <= one.priority) priorities.push([]);
      priorities[one.priority]?.push(endpoint);
    }
    const isSame = next.size === this.#endpoints.size && [...next].every(([key, endpoint]) => this.#endpoints.get(key) === endpoint);
    for (const [key, endpoint] of this.#endpoints) if (next.get(key) !== endpoint) endpoint.remove();
    this.#endpoints = next;
    this.#balancer = makeBalancer(this.settings.policy, priorities, this.settings.panicThreshold);
    this.warmed = true;
    this.#panicking = this.#balancer.panic.includes(true) || (next.size === 0 && this.settings.panicThreshold > 0);
    if (!isSame) this.stats.membershipChange.value++;
    this.stats.membershipTotal.value = next.size;
    this.stats.membershipHealthy.value = [...next.values()].filter((endpoint) => endpoint.healthy).length;
  }

  /** undefined: no healthy endpoint. `destination` is for clusters that send where the client meant to go. */
  choose(destination: { readonly ip: string; readonly port: number } | undefined): Endpoint | undefined {
    if (this.settings.originalDestination) return destination === undefined ? undefined : this.#originalDestination(destination);
    if (this.#panicking) this.stats.lbPanic.value++;
    return chooseEndpoint(this.#balancer, this.#random);
  }

  #originalDestination(destination: { readonly ip: string; readonly port: number }): Endpoint {
    const port = this.settings.portOverride ?? destination.port;
    const text = destination.ip.includes(":") ? `[${destination.ip}]:${port}` : `${destination.ip}:${port}`;
    const known = this.#endpoints.get(text);
    if (known !== undefined) return known;
    const made = new Endpoint(this, {
      address: { ip: destination.ip, port },
      text,
      hostname: "",
      tls: undefined,
      transport: "",
      by: undefined,
      workload: undefined,
      priority: 0,
      locality: NOWHERE,
    });
    this.#endpoints.set(text, made);
    return made;
  }

  connect(endpoint: EndpointSettings, handler: ConnectionHandler): Connection {
    const { mark, sourceIp, connectTimeoutMs } = this.settings;
    const context = endpoint.tls?.context();
    if (endpoint.tls !== undefined && context === undefined) return refusedConnection(this.#machine.clock, handler);
    const serverName = endpoint.tls?.serverName;
    return this.#machine.net.connect(
      {
        address: endpoint.address,
        timeoutMs: connectTimeoutMs,
        ...(mark === undefined || "path" in endpoint.address ? {} : { mark }),
        ...(sourceIp === undefined || "path" in endpoint.address ? {} : { sourceIp }),
        ...(context === undefined ? {} : { tls: { context, ...(serverName === undefined ? {} : { serverName }) } }),
      },
      handler,
    );
  }

  /** Now and then: closes idle connections, forgets original destinations that nobody uses. */
  sweep(): void {
    for (const [key, endpoint] of this.#endpoints) {
      endpoint.closeIdle(this.settings.idleTimeoutMs);
      if (this.settings.originalDestination && endpoint.cxActive === 0 && endpoint.active === 0) this.#endpoints.delete(key);
    }
  }

  remove(): void {
    this.removed = true;
    for (const endpoint of this.#endpoints.values()) endpoint.remove();
  }
}

/** A connection that fails in the next turn, because its secret has not come. */
function refusedConnection(clock: Clock, handler: ConnectionHandler): Connection {
  clock.soon(() => handler.onClose({ code: "ERR_TLS_NO_SECRET", message: "TLS error: Secret is not supplied by SDS" }));
  const nothing = (): void => undefined;
  const facts = { local: undefined, remote: undefined, originalDestination: undefined, tls: undefined, peerCredentials: undefined };
  return {
    facts,
    handle: nothing,
    write: nothing,
    writeBorrowed: nothing,
    flush: nothing,
    bufferedBytes: 0,
    sentBytes: 0,
    pause: nothing,
    resume: nothing,
    end: nothing,
    destroy: nothing,
    startTls: nothing,
  };
}
