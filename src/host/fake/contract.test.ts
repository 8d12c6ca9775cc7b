import { hostContract } from "#host/contract.ts";
import { fakeHost } from "./fake.ts";
import { FakeWorld } from "./world.ts";

hostContract(async () => {
  const world = new FakeWorld();
  return { host: fakeHost(world, { name: "contract" }), folder: "/tmp", settle: (work) => world.drive(work), close: async () => undefined };
});
