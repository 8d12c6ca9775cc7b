import { hostContract, kernelContract } from "#host/contract.ts";
import type { Subject } from "#host/contract/subject.ts";
import { fakeHost } from "./fake.ts";
import { FakeWorld } from "./world.ts";

async function make(): Promise<Subject> {
  const world = new FakeWorld();
  return { host: fakeHost(world, { name: "contract" }), folder: "/tmp", settle: (work) => world.drive(work), close: async () => undefined };
}

hostContract(make);
kernelContract(make);
