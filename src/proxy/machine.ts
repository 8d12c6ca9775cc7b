/** What all parts of a running proxy share. One per process, or per simulated proxy. */
import type { Clock } from "#host/clock.ts";
import type { Files } from "#host/files.ts";
import type { Net } from "#host/net.ts";
import type { Random } from "#host/random.ts";
import type { AccessLogFiles } from "./access-logs.ts";
import type { RequestIds } from "./http/request-ids.ts";
import type { Downstream } from "./listen/downstream.ts";
import type { TrafficMetrics } from "./stats/measured.ts";
import type { Stats } from "./stats/stats.ts";
import type { TimerWheel } from "./timer-wheel.ts";
import type { Secrets } from "./tls/secrets.ts";
import type { TurnClock } from "./turn-clock.ts";
import type { ClusterRuntime } from "./upstream/cluster.ts";

export interface ProxyMachine {
  readonly clock: Clock;
  /** For the request path. */
  readonly turn: TurnClock;
  readonly random: Random;
  readonly net: Net;
  readonly files: Files;
  readonly wheel: TimerWheel;
  readonly stats: Stats;
  readonly secrets: Secrets;
  readonly clusters: ReadonlyMap<string, ClusterRuntime>;
  readonly accessLogs: AccessLogFiles;
  readonly requestIds: RequestIds;
  /** Counts requests and connections under Istio's names, when the node says that it is part of a mesh. */
  readonly traffic: TrafficMetrics | undefined;
  /** A connection that network RBAC did not let in. */
  refused(connection: { readonly details: string; readonly downstream: Downstream }): void;
  draining: boolean;
  /** For the `date` header; made once a second. */
  httpDate(): string;
}
