/** What this replica counts of itself. */
import type { InjectorAnswer } from "#inject/inject.ts";
import { Metrics } from "#run/metrics.ts";

export class ControlMetrics {
  readonly #metrics = new Metrics();
  readonly leads = this.#metrics.gauge({ name: "weft_control_leads", help: "1 when this replica is the leader." }).with();
  readonly #streams = this.#metrics.gauge({ name: "weft_control_xds_streams", help: "Open xDS streams, one a proxy." }).with();
  readonly rejections = this.#metrics.counter({ name: "weft_control_xds_rejections_total", help: "Updates that proxies refused." }).with();
  readonly #injections = this.#metrics.counter({ name: "weft_control_injections_total", help: "Pods that the injector answered for.", labels: ["answer"] });
  readonly #troubles = this.#metrics.counter({ name: "weft_control_api_troubles_total", help: "Lists and watches that failed.", labels: ["kind"] });
  readonly #writes = this.#metrics.counter({ name: "weft_control_status_writes_total", help: "Statuses that this replica wrote.", labels: ["kind"] });

  #countStreams = (): number => 0;

  injected(answer: InjectorAnswer): void {
    this.#injections.with(answer).add();
  }

  troubled(kind: string): void {
    this.#troubles.with(kind).add();
  }

  wrote(kind: string): void {
    this.#writes.with(kind).add();
  }

  countStreams(count: () => number): void {
    this.#countStreams = count;
  }

  text(): string {
    this.#streams.set(this.#countStreams());
    return this.#metrics.text();
  }
}
