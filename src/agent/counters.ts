/** What the agent counts, under its own names and Prometheus' usual ones. */
import type { Host } from "#host/host.ts";
import { Metrics } from "#run/metrics.ts";

const PAGE_BYTES = 4096;

export class AgentMetrics {
  readonly #host: Pick<Host, "files">;
  readonly #metrics = new Metrics();
  readonly dropped = this.#metrics.counter({ name: "weft_agent_dropped_packets_total", help: "Packets of pods that the node dropped and logged." }).with();
  readonly applied = this.#metrics.counter({ name: "weft_agent_plans_applied_total", help: "Plans of the node that were brought into force." }).with();
  readonly pods = this.#metrics.gauge({ name: "weft_agent_pods_count", help: "Pods that the node's plan wires." }).with();

  constructor(host: Pick<Host, "files">) {
    this.#host = host;
  }

  /** The second number of statm is resident pages. */
  async text(): Promise<string> {
    const pages = Number((await this.#host.files.readText("/proc/self/statm")).split(" ")[1]);
    const help = "# HELP process_resident_memory_bytes Resident memory size in bytes.\n# TYPE process_resident_memory_bytes gauge\n";
    return `${help}process_resident_memory_bytes ${pages * PAGE_BYTES}\n${this.#metrics.text()}`;
  }
}
