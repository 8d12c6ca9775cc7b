/**
 * What stays of a user's own container `istio-proxy`: where Istio lets people change resources, ports, environment and volumes.
 * Whatever would have the container run something else than the proxy does not: what runs there has the pod's identity, and what it
 * sends is not intercepted. What is left out is said.
 */
import type { Container, EnvVar } from "#model/pod-parts.ts";
import { PROXY_CONTAINER } from "./proxy-kind.ts";

export interface KeptContainer {
  readonly own: Container | undefined;
  readonly warnings: readonly string[];
}

/** Of these the injection has its own word, or nobody needs them. */
const LEFT_OUT = ["command", "envFrom", "lifecycle", "workingDir", "volumeDevices"] as const;
const PROBES = ["livenessProbe", "readinessProbe", "startupProbe"] as const;
/** Loaders and run times read programs, libraries and whom to trust from such variables. */
const LOADED_BY = /^(?:LD_|NODE_|OPENSSL_|SSL_|GLIBC_)/;
/** Sizes of memory only. */
const HEAP_OPTIONS = /^\s*(?:--max-[a-z-]+=\d+\s*)*$/;
/** Where the image has programs and libraries. */
const PROGRAMS = /^\/(?:(?:opt|usr|lib|lib64|bin|sbin|etc|proc|dev)(?:\/|$)|$)/;

export function keptOf(own: Container | undefined): KeptContainer {
  if (own === undefined) return { own, warnings: [] };
  const warnings: string[] = [];
  const leave = (what: string, why: string): void => void warnings.push(`container ${PROXY_CONTAINER}: ${what} is not used; ${why}`);
  const kept = { ...own };
  for (const field of LEFT_OUT) {
    if (isEmpty(kept[field])) continue;
    leave(field, "nothing but the proxy runs there");
    delete kept[field];
  }
  for (const field of PROBES) {
    if (kept[field]?.exec === undefined) continue;
    leave(`${field}.exec`, "nothing but the proxy runs there");
    delete kept[field];
  }
  if (own.env !== undefined) kept.env = own.env.filter((each) => isHarmless(each) || leave(`env ${each.name}`, "it would load something else than the proxy"));
  if (own.volumeMounts !== undefined)
    kept.volumeMounts = own.volumeMounts.filter(
      ({ mountPath }) => !PROGRAMS.test(normal(mountPath)) || leave(`the volume at ${mountPath}`, "the proxy's programs are there; mount it elsewhere"),
    );
  return { own: kept, warnings };
}

function isHarmless({ name, value, valueFrom }: EnvVar): boolean {
  if (name === "NODE_OPTIONS") return valueFrom === undefined && HEAP_OPTIONS.test(value ?? "");
  return !LOADED_BY.test(name);
}

/** "/x/../opt//" is "/opt/". */
const normal = (path: string): string => new URL(`file:///${path}`).pathname.replaceAll(/\/+/g, "/");

function isEmpty(value: unknown): boolean {
  return value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
}
