import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostContract } from "#host/contract.ts";
import { realHost } from "./real.ts";

hostContract(async () => {
  const folder = await mkdtemp(join(tmpdir(), "weft-host-"));
  return { host: realHost(), folder, settle: (work) => work, close: () => rm(folder, { recursive: true, force: true }) };
});
