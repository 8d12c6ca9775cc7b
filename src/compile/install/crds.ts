/** CustomResourceDefinitions of the kinds that Weft brings, emitted from its own types: what it does not know, users cannot write. */
import { KINDS, kindIds, type KindId, type KindInfo } from "#model/kinds.ts";
import { own, VERSION_ANNOTATION, type Manifest } from "./manifest.ts";
import { structuralSchema } from "./structural-schema.ts";

interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "date";
  readonly jsonPath: string;
  /** 1 shows with -o wide. */
  readonly priority?: 1;
}

const column = (name: string, jsonPath: string, type: "string" | "date" = "string"): PrinterColumn => ({ name, type, jsonPath });
const age = column("Age", ".metadata.creationTimestamp", "date");
const condition = (name: string): PrinterColumn => column(name, `.status.conditions[?(@.type=='${name}')].status`);

/** As the embedded API server prints them. */
const columns: { readonly [K in KindId]?: readonly PrinterColumn[] } = {
  VirtualService: [column("Gateways", ".spec.gateways"), column("Hosts", ".spec.hosts"), age],
  DestinationRule: [column("Host", ".spec.host"), age],
  PeerAuthentication: [column("Mode", ".spec.mtls.mode"), age],
  AuthorizationPolicy: [column("Action", ".spec.action"), age],
  GatewayClass: [column("Controller", ".spec.controllerName"), condition("Accepted"), age, { ...column("Description", ".spec.description"), priority: 1 }],
  Gateway: [column("Class", ".spec.gatewayClassName"), column("Address", ".status.addresses[*].value"), condition("Programmed"), age],
  HTTPRoute: [column("Hostnames", ".spec.hostnames"), age],
};

export const crdKinds: readonly KindInfo[] = kindIds.map((id) => KINDS[id]).filter(({ builtIn }) => !builtIn);

export function crdName({ plural, group }: Pick<KindInfo, "plural" | "group">): string {
  return `${plural}.${group}`;
}

export function customResourceDefinition(info: KindInfo, version: string): Manifest {
  const { group, kind, plural, singular, shortNames, categories, namespaced, hasStatus, versions } = info;
  const schema = rootSchema(info);
  const additionalPrinterColumns = columns[info.id] ?? [age];
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: own(crdName(info), { annotations: { ...approval(group), ...KEPT, [VERSION_ANNOTATION]: version } }),
    spec: {
      group,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames, categories },
      scope: namespaced ? "Namespaced" : "Cluster",
      versions: versions.map((name, index) => ({
        name,
        served: true,
        storage: index === 0,
        schema: { openAPIV3Schema: schema },
        ...(hasStatus ? { subresources: { status: {} } } : {}),
        additionalPrinterColumns,
      })),
    },
  };
}

/** `helm uninstall` must not take users' objects along. */
const KEPT = { "helm.sh/resource-policy": "keep" } as const;

/** Groups of *.k8s.io are Kubernetes' own: whoever emits one must say whether Kubernetes' people approved this very definition. */
function approval(group: string): Readonly<Record<string, string>> {
  return group.endsWith(".k8s.io") ? { "api-approved.kubernetes.io": "unapproved, emitted from Weft's own types" } : {};
}

/** A definition says nothing of metadata but that it is there. */
function rootSchema({ schema }: KindInfo): Readonly<Record<string, unknown>> {
  const { metadata: _metadata, ...properties } = schema.properties ?? {};
  const whole = structuralSchema({ type: "object", properties, ...(schema.required === undefined ? {} : { required: schema.required }) });
  return { ...whole, properties: { ...(whole["properties"] as object), metadata: { type: "object" } } };
}
