/** What the agent tells the API: that its node's network is up, and what objects ask for in vain. */
import { createHash } from "node:crypto";
import { NETWORK_CONDITION } from "#compile/node/kept.ts";
import type { ApiClient } from "#client/client.ts";
import type { Host } from "#host/host.ts";
import type { Event, Node, Pod } from "#model/core.ts";
import type { NodePlan, PlanProblem } from "#model/plan/node-plan.ts";
import { formatProvenance } from "#model/provenance.ts";
import type { Log } from "#run/log.ts";

export interface ReporterOptions {
  readonly host: Pick<Host, "clock">;
  readonly api: ApiClient;
  readonly log: Log;
  readonly node: string;
  readonly findNode: () => Node | undefined;
}

/** Of an event about a pod. */
export interface PodWord {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

export class Reporter {
  readonly #options: ReporterOptions;
  #isWriting = false;
  /** Problems that have been told. */
  readonly #told = new Set<string>();

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** After a plan was applied. */
  applied(plan: NodePlan): void {
    void this.#reportNetwork();
    const current = new Set<string>();
    for (const problem of plan.problems) {
      const text = `${formatProvenance(problem.by)}: ${problem.message}`;
      current.add(text);
      if (this.#told.has(text)) continue;
      this.#told.add(text);
      this.#options.log.warn(problem.message, { object: formatProvenance(problem.by) });
      void this.#event(involvedIn(problem), { type: "Warning", reason: "NotSupported", message: wordsOf(problem) });
    }
    for (const text of this.#told) if (!current.has(text)) this.#told.delete(text);
  }

  async #reportNetwork(): Promise<void> {
    const { host, api, log, node, findNode } = this.#options;
    const known = findNode()?.status?.conditions?.find(({ type }) => type === NETWORK_CONDITION);
    if (findNode() === undefined || known?.status === "False" || this.#isWriting) return;
    this.#isWriting = true;
    const now = new Date(host.clock.now()).toISOString().replace(/[.]\d+Z$/, "Z");
    const condition = {
      type: NETWORK_CONDITION,
      status: "False",
      reason: "WeftIsUp",
      message: "the node's network plan is applied",
      lastHeartbeatTime: now,
      lastTransitionTime: now,
    };
    try {
      await api.patch("Node", { name: node }, { status: { conditions: [condition] } }, { type: "strategic", subresource: "status" });
    } catch (error) {
      log.warn("could not report the node's network as up; it is tried again after the next change", { object: `Node ${node}`, error });
    } finally {
      this.#isWriting = false;
    }
  }

  /** Something about one pod that its owner should know. */
  tell({ metadata }: Pod, word: PodWord): void {
    const { namespace = "default", name, uid } = metadata;
    // With its uid: kubectl describe shows no others.
    void this.#event({ kind: "Pod", name, namespace, ...(uid === undefined ? {} : { uid }) }, word);
  }

  /** Named by its text, so that all nodes' agents write one event and not one each. */
  async #event(involvedObject: NonNullable<Event["involvedObject"]>, { type, reason, message }: PodWord): Promise<void> {
    const { host, api, node } = this.#options;
    const { name = "", namespace = "default" } = involvedObject;
    const text = JSON.stringify([involvedObject, message]);
    const now = new Date(host.clock.now()).toISOString().replace(/[.]\d+Z$/, "Z");
    const event: Event = {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: `${name}.${createHash("sha256").update(text).digest("hex").slice(0, 16)}`, namespace },
      involvedObject,
      reason,
      message,
      type,
      source: { component: "weft-agent", host: node },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
      reportingComponent: "weft-agent",
      reportingInstance: node,
    };
    // It exists already, or nobody can be told now: the log has it in any case.
    await api.create("Event", event).catch(() => undefined);
  }
}

function involvedIn({ by: { kind, namespace, name, field } }: PlanProblem): NonNullable<Event["involvedObject"]> {
  return { kind, name, ...(namespace === undefined ? {} : { namespace }), ...(field === "" ? {} : { fieldPath: field }) };
}

function wordsOf({ by, message }: PlanProblem): string {
  return by.field === "" ? message : `${by.field}: ${message}`;
}
