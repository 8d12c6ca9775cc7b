/** The machine: the only host that opens sockets, files and processes. Parts load what they need when they are used. */
import type { Host } from "#host/host.ts";
import { realClock } from "./clock.ts";
import { realFiles } from "./files.ts";
import { realHttp } from "./http.ts";
import { realNet } from "./net.ts";
import { realNetlink } from "./netlink.ts";
import { realNetns } from "./netns.ts";
import { realNft } from "./nft.ts";
import { realProcesses } from "./processes.ts";
import { realRandom } from "./random.ts";
import { realRpc } from "./rpc.ts";
import { realStorage } from "./storage.ts";

export function realHost(): Host {
  const processes = realProcesses();
  return {
    clock: realClock(),
    random: realRandom(),
    files: realFiles(),
    net: realNet(),
    http: realHttp(),
    rpc: realRpc(),
    storage: realStorage(),
    netlink: realNetlink(),
    netns: realNetns(),
    nft: realNft(processes),
    processes,
  };
}
