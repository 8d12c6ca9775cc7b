/**
 * A host that behaves like a machine, in memory and under virtual time. Hosts of one `FakeWorld` meet on its network;
 * hosts of one machine share its files, disk and processes.
 */
import type { Host } from "#host/host.ts";
import type { PeerCredentials } from "#host/rpc.ts";
import { FakeFiles } from "./files.ts";
import { fakeHttp } from "./http.ts";
import { fakeNet } from "./net.ts";
import { fakeNetlink, fakeNetns } from "./netlink.ts";
import { FakeNft } from "./nft.ts";
import { FakeMachine, fakeProcesses } from "./processes.ts";
import { fakeRpc } from "./rpc.ts";
import { fakeStorage } from "./storage.ts";
import type { FakeDisk } from "./storage.ts";
import type { FakeWorld } from "./world.ts";

export interface FakeHostOptions {
  /** Names its stream of randomness, and its namespace unless `netns` does. */
  readonly name: string;
  readonly netns?: string;
  readonly files?: FakeFiles;
  readonly disk?: FakeDisk;
  readonly machine?: FakeMachine;
  /** To look at what was applied. */
  readonly nft?: FakeNft;
  /** Who its programs are to services on abstract sockets. Default pid 1, root. */
  readonly credentials?: PeerCredentials;
}

export function fakeHost(world: FakeWorld, options: FakeHostOptions): Host {
  const { clock } = world;
  const random = world.random(options.name);
  const netns = options.netns ?? options.name;
  const files = options.files ?? new FakeFiles(clock);
  return {
    clock,
    random,
    files,
    net: fakeNet({ world, netns, random, files }),
    http: fakeHttp(clock, world.http),
    rpc: fakeRpc(clock, world.rpc, { netns, ...(options.credentials === undefined ? {} : { credentials: options.credentials }) }),
    storage: fakeStorage(options.disk),
    netlink: fakeNetlink(world.kernel, world.network, netns),
    netns: fakeNetns(world.kernel, world.network, netns),
    nft: options.nft ?? new FakeNft(),
    processes: fakeProcesses(world, options.machine ?? new FakeMachine(), files),
  };
}
