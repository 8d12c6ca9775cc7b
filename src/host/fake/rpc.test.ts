import type { Clock } from "#host/clock.ts";
import { contractPki } from "#host/contract/rpc-pki.ts";
import { rpcContract } from "#host/contract/rpc.ts";
import { FakeRpcNetwork, fakeRpc } from "./rpc.ts";

/** The smallest clock under which the fake can be driven: timers in order of time, then of making. */
function stepClock(): { clock: Clock; step: () => boolean } {
  let now = 0;
  let timers: { at: number; run: () => void }[] = [];
  const after = (delayMs: number, run: () => void) => {
    const timer = { at: now + delayMs, run };
    timers.push(timer);
    const handle = { cancel: () => void (timers = timers.filter((other) => other !== timer)), unref: () => handle };
    return handle;
  };
  const unused = (): never => {
    throw new Error("the fake Rpc does not need this part of Clock");
  };
  const clock: Clock = { now: () => now, monotonic: () => now, after, every: unused, sleep: unused, soon: unused };
  return {
    clock,
    step() {
      const next = timers.reduce<(typeof timers)[number] | undefined>(
        (first, timer) => (first === undefined || timer.at < first.at ? timer : first),
        undefined,
      );
      if (next === undefined) return false;
      timers = timers.filter((other) => other !== next);
      now = next.at;
      next.run();
      return true;
    },
  };
}

const { clock, step } = stepClock();
const network = new FakeRpcNetwork();
const pki = await contractPki();
let sockets = 0;
rpcContract(() => ({
  rpc: fakeRpc(clock, network),
  unixAddress: () => ({ path: `/run/${sockets++}.sock` }),
  abstractAddress: () => ({ path: `@weft/${sockets++}` }),
  tcpAddress: () => ({ ip: "127.0.0.1", port: 0 }),
  pki,
  async until(done) {
    while (!done()) {
      // A service that admits callers needs turns of the real loop for it.
      await new Promise((resolve) => void setImmediate(resolve));
      if (!step() && !done()) throw new Error("nothing is left to happen");
    }
  },
}));
