/** Which peers a workload's port accepts. The narrowest PeerAuthentication that says something decides; of equals the oldest. */
import type { PeerAuthentication } from "#model/istio.ts";
import type { Provenance } from "#model/provenance.ts";
import { matchesLabels } from "#model/selectors.ts";
import { inPrecedence } from "./precedence.ts";
import { rootNamespace } from "./settings.ts";
import { provenanceOf } from "./source.ts";
import type { Workload } from "./workload.ts";

export type MtlsMode = "STRICT" | "PERMISSIVE" | "DISABLE";

export interface PeerMode {
  readonly mode: MtlsMode;
  /** Absent: no object says anything, which means PERMISSIVE. */
  readonly by?: Provenance;
}

export type Level = "mesh" | "namespace" | "workload";

export function levelOf(policy: PeerAuthentication): Level {
  if (Object.keys(policy.spec?.selector?.matchLabels ?? {}).length > 0) return "workload";
  return policy.metadata.namespace === rootNamespace ? "mesh" : "namespace";
}

/** Policies of the workload's namespace and of the root namespace. */
export interface PeerPolicies {
  readonly own: readonly PeerAuthentication[];
  readonly root: readonly PeerAuthentication[];
}

/** What is in force for a workload: for all its ports, and for single ones. */
export interface PeerModes {
  readonly base: PeerMode;
  readonly ports: Readonly<Record<string, PeerMode>>;
}

export function peerModes(of: Workload, { own, root }: PeerPolicies): PeerModes {
  const selects = (policy: PeerAuthentication) => levelOf(policy) === "workload" && matchesLabels(policy.spec?.selector?.matchLabels, of.labels);
  const workloadPolicy = inPrecedence(own.filter(selects))[0];
  const namespacePolicy = inPrecedence(own.filter((policy) => levelOf(policy) === "namespace"))[0];
  const meshPolicy = inPrecedence(root.filter((policy) => levelOf(policy) === "mesh"))[0];
  const base = [workloadPolicy, namespacePolicy, meshPolicy].map((policy) => statedMode(policy)).find((mode) => mode !== undefined) ?? { mode: "PERMISSIVE" };
  return { base, ports: portModes(workloadPolicy) };
}

export function peerModeOf(modes: PeerModes, port: number): PeerMode {
  return modes.ports[String(port)] ?? modes.base;
}

function statedMode(policy: PeerAuthentication | undefined): PeerMode | undefined {
  const mode = policy?.spec?.mtls?.mode;
  return policy === undefined || !isMode(mode) ? undefined : { mode, by: provenanceOf(policy, "spec.mtls.mode") };
}

function portModes(policy: PeerAuthentication | undefined): Record<string, PeerMode> {
  const ports: Record<string, PeerMode> = {};
  for (const [port, mtls] of Object.entries(policy?.spec?.portLevelMtls ?? {})) {
    if (policy !== undefined && isMode(mtls.mode)) ports[port] = { mode: mtls.mode, by: provenanceOf(policy, `spec.portLevelMtls[${port}].mode`) };
  }
  return ports;
}

function isMode(mode: string | undefined): mode is MtlsMode {
  return mode === "STRICT" || mode === "PERMISSIVE" || mode === "DISABLE";
}
