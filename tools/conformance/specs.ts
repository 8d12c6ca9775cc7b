/** Which of Kubernetes' network tests are asked of Weft, by what their names say; and which of them no cluster here can run. */

export interface Spec {
  /** As ginkgo's focus sees it: "[sig-network] Services should ... [Conformance]". */
  readonly name: string;
  readonly group: "Conformance" | "NetworkPolicy";
}

/** Of a report of ginkgo's (types/types.go, SpecReport), what is read here. */
export interface SpecReport {
  readonly LeafNodeType: string;
  readonly ContainerHierarchyTexts: readonly string[] | null;
  readonly LeafNodeText: string;
  readonly State: string;
  /** Nanoseconds. */
  readonly RunTime: number;
  readonly Failure?: { readonly Message?: string };
}

export type GinkgoReport = readonly { readonly SpecReports: readonly SpecReport[] | null }[];

export function nameOf({ ContainerHierarchyTexts, LeafNodeText }: SpecReport): string {
  return [...(ContainerHierarchyTexts ?? []), LeafNodeText].join(" ");
}

/** Every [Conformance] spec of sig-network, and every spec of NetworkPolicy. */
export function askedOf(report: GinkgoReport): readonly Spec[] {
  return specsIn(report)
    .map(nameOf)
    .flatMap((name): readonly Spec[] => {
      if (!name.startsWith("[sig-network]")) return [];
      if (name.includes("[Conformance]")) return [{ name, group: "Conformance" }];
      return / Netpol |NetworkPolicy/.test(name) ? [{ name, group: "NetworkPolicy" }] : [];
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

export function specsIn(report: GinkgoReport): readonly SpecReport[] {
  return report.flatMap(({ SpecReports }) => SpecReports ?? []).filter(({ LeafNodeType }) => LeafNodeType === "It");
}

/** Why it cannot pass on the machine at hand, whoever makes the network; undefined when it can. */
export function whyNotHere(name: string): string | undefined {
  return name.includes("[Feature:SCTPConnectivity]") ? "needs SCTP, which this machine's kernel does not have" : undefined;
}

/** An expression of ginkgo's (Go's RE2) for exactly these; ginkgo puts the suite's own title before their names. */
export function focusOn(names: readonly string[]): string {
  return `(?:^|suite )(?:${names.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})$`;
}
