/** The last drops of this node, named: NFLOG packets meet the plan that says what their prefixes mean. */
import type { FlowEnd, FlowRecord } from "#model/flow.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";
import { formatProvenance } from "#model/provenance.ts";
import { readPacket } from "#wire/ip/packet.ts";

/** About 1 MB. */
const CAPACITY = 4096;

export interface FlowLogOptions {
  readonly node: string;
  readonly now: () => number;
  /** The last plan, also while the next one is being applied. */
  readonly plan: () => NodePlan | undefined;
  /** "namespace/name" of the pod that has the address, anywhere in the cluster. */
  readonly podAt: (ip: string) => string | undefined;
}

export interface LoggedPacket {
  readonly prefix: string;
  readonly payload: Uint8Array;
}

export class FlowLog {
  readonly #options: FlowLogOptions;
  readonly #records: FlowRecord[] = [];
  readonly #followers = new Set<(record: FlowRecord) => void>();
  /** Of all drops since the start. */
  dropped = 0;

  constructor(options: FlowLogOptions) {
    this.#options = options;
  }

  received({ prefix, payload }: LoggedPacket): void {
    const packet = readPacket(payload);
    if (packet === undefined) return;
    const why = this.#options.plan()?.drops[prefix];
    const end = (ip: string, port: number | undefined): FlowEnd => {
      const pod = this.#options.podAt(ip);
      return { ip, ...(pod === undefined ? {} : { pod }), ...(port === undefined ? {} : { port }) };
    };
    const record: FlowRecord = {
      time: new Date(this.#options.now()).toISOString(),
      node: this.#options.node,
      verdict: "dropped",
      direction: why?.direction ?? "ingress",
      protocol: packet.protocol,
      source: end(packet.source, packet.sourcePort),
      destination: end(packet.destination, packet.destinationPort),
      policies: (why?.policies ?? []).map(formatProvenance),
      reason: why?.text ?? `a rule that is gone by now (${prefix})`,
    };
    this.dropped += 1;
    this.#records.push(record);
    if (this.#records.length > CAPACITY) this.#records.shift();
    for (const follower of this.#followers) follower(record);
  }

  /** Oldest first. */
  records(): readonly FlowRecord[] {
    return this.#records;
  }

  follow(follower: (record: FlowRecord) => void): { close(): void } {
    this.#followers.add(follower);
    return { close: () => void this.#followers.delete(follower) };
  }
}
