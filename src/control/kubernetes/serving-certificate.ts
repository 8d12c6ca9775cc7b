/**
 * The certificate that this replica serves with (15012, webhook): signed by the mesh's root, in memory only, renewed when
 * half of its life is over.
 */
import { issueKeyPair } from "#ca/ca.ts";
import type { KeyPair } from "#ca/ca.ts";
import type { Host } from "#host/host.ts";
import type { Log } from "#run/log.ts";

const LIFETIME_MS = 24 * 3_600_000;
/** By the wall clock, because machines sleep and their timers with them. */
const LOOK_EVERY_MS = 60_000;

export interface ServingCertificate {
  readonly current: KeyPair;
  stop(): void;
}

export interface ServingOptions {
  readonly root: KeyPair;
  readonly dnsNames: readonly string[];
  readonly log: Log;
  readonly renewed: (pair: KeyPair) => void;
}

export async function servingCertificate(host: Pick<Host, "clock" | "random">, { root, dnsNames, log, renewed }: ServingOptions): Promise<ServingCertificate> {
  const issue = (): Promise<KeyPair> => issueKeyPair(host, root, { commonName: dnsNames[0] ?? "", dnsNames, usages: ["server"], lifetimeMs: LIFETIME_MS });
  let current = await issue();
  let issuedAtMs = host.clock.now();
  const look = async (): Promise<void> => {
    if (host.clock.now() - issuedAtMs < LIFETIME_MS / 2) return;
    current = await issue();
    issuedAtMs = host.clock.now();
    renewed(current);
    log.info("the serving certificate was renewed", { names: dnsNames });
  };
  const failed = (error: unknown): void => log.error("the serving certificate could not be renewed and will be tried again", { error });
  const timer = host.clock.every(LOOK_EVERY_MS, () => void look().catch(failed)).unref();
  return {
    get current() {
      return current;
    },
    stop: () => timer.cancel(),
  };
}
