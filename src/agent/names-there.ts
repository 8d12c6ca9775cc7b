/**
 * Packets for port 53 of the DNS address get another port only when somebody listens there: a weft-names of the version before
 * listens at port 53 itself, and has it until its successor is there. Whether somebody does is told by the kernel's list
 * of sockets, of this node's network. Who was seen once is expected again: when a program ends, rules change nothing.
 */
import { withoutNamesPort } from "#compile/services/names-port.ts";
import type { NodeSettings } from "#compile/node/settings.ts";
import type { Host } from "#host/host.ts";
import type { NodePlan } from "#model/plan/node-plan.ts";

export interface NamesThere {
  /** The plan as it is to be applied: the same one for the same plan, while nothing changed. */
  planOf(plan: NodePlan): NodePlan;
  /** `appeared`: planOf answers otherwise from now on. */
  follow(appeared: () => void): { close(): void };
}

/** proc_net_tcp(5): who listens has its socket here, and weft-names listens by TCP last. */
const SOCKETS = "/proc/net/tcp";
/** TCP_LISTEN of the kernel's tcp_states.h. */
const LISTENS = "0A";
/** While nobody was seen; as long names are not answered on a node that is new. */
const LOOK_EVERY_MS = 200;

/** Resolves when it is known whether somebody is there at the moment. */
export async function lookForNames(
  host: Pick<Host, "files" | "clock">,
  { dnsAddress, namesPort }: Pick<NodeSettings, "dnsAddress" | "namesPort">,
): Promise<NamesThere> {
  if (namesPort === undefined) return { planOf: (plan) => plan, follow: () => ({ close: () => undefined }) };
  const wanted = socketText(dnsAddress, namesPort);
  const isThere = async (): Promise<boolean> => listensIn(await host.files.readText(SOCKETS).catch(() => ""), wanted);
  let seen = await isThere();
  let last: { readonly from: NodePlan; readonly made: NodePlan } | undefined;
  return {
    follow(appeared) {
      const timer = host.clock.every(LOOK_EVERY_MS, () => {
        if (seen) return timer.cancel();
        void isThere().then((found) => {
          if (!found || seen) return;
          seen = true;
          appeared();
        });
      });
      return { close: () => timer.cancel() };
    },
    planOf(plan) {
      if (seen) return plan;
      if (last?.from !== plan) last = { from: plan, made: withoutNamesPort(plan, { dnsAddress }) };
      return last.made;
    },
  };
}

function listensIn(text: string, wanted: string): boolean {
  return text.split("\n").some((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return local === wanted && state === LISTENS;
  });
}

/** The address as the machine has it in memory, which is least significant byte first on every machine that images are made for. */
function socketText(address: string, port: number): string {
  const hex = (number: number, digits: number) => number.toString(16).toUpperCase().padStart(digits, "0");
  const bytes = address.split(".").map((part) => hex(Number(part), 2));
  return `${bytes.toReversed().join("")}:${hex(port, 4)}`;
}
