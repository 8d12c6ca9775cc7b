/** One suite for every host: what programs rely on, run against the machine and against the fake. */
import { httpContract } from "./contract/http.ts";
import { netTlsContract } from "./contract/net-tls.ts";
import { netContract } from "./contract/net.ts";
import { processesContract } from "./contract/processes.ts";
import { filesContract, storageContract } from "./contract/storage.ts";
import type { Subject } from "./contract/subject.ts";

export function hostContract(make: () => Promise<Subject>): void {
  httpContract(make);
  storageContract(make);
  filesContract(make);
  netContract(make);
  netTlsContract(make);
  processesContract(make);
}

export { kernelContract } from "./contract/kernel.ts";
