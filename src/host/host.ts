/**
 * The machine as an interface. Programs take a `Host` and reach time, randomness, files, network, kernel and processes
 * only through it, so that a whole cluster also runs in one process under virtual time (sim/), and a failure replays.
 *
 * `host/real` implements it on Linux (the only place that opens sockets, files and processes); `host/fake` behaves
 * like it in memory. `host/contract.ts` is the one suite that both must pass. A program that needs only some parts
 * takes `Pick<Host, "clock" | "net">`.
 */
import type { Clock } from "./clock.ts";
import type { Files } from "./files.ts";
import type { Http } from "./http.ts";
import type { Net } from "./net.ts";
import type { Netlink } from "./netlink.ts";
import type { Netns } from "./netns.ts";
import type { Nft } from "./nft.ts";
import type { Processes } from "./processes.ts";
import type { Random } from "./random.ts";
import type { Rpc } from "./rpc.ts";
import type { Storage } from "./storage.ts";

export interface Host {
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  /** TCP, TLS, Unix stream sockets and UDP: the data path. */
  readonly net: Net;
  /** HTTP/1.1 server and client of the control plane (Kubernetes API, admin). Never in the data path. */
  readonly http: Http;
  /** gRPC: xDS, SDS, the CA. */
  readonly rpc: Rpc;
  /** The durable log under the embedded API server. */
  readonly storage: Storage;
  /** rtnetlink, conntrack, nflog. */
  readonly netlink: Netlink;
  readonly nft: Nft;
  readonly netns: Netns;
  readonly processes: Processes;
}
