/**
 * Sidecar injection: a Pod as it was sent -> the Pod as it is stored. Pure; runs inside admission of new Pods, so what is
 * stored says what runs. One function for both worlds: in the embedded cluster the container `istio-proxy` only announces
 * the proxy that the runtime starts (embedded-form.ts), on Kubernetes it is a native sidecar from Weft's image
 * (kubernetes-form.ts). May be called again with its own result, as webhooks are.
 *
 * Labels, annotations and what they mean are Istio's: a namespace opts in by `istio-injection=enabled`, a pod in or out by
 * `sidecar.istio.io/inject`, and `inject.istio.io/templates: gateway` fills in a gateway's own container.
 */
import type { Namespace, Pod } from "#model/core.ts";
import { embeddedForm } from "./embedded-form.ts";
import { kubernetesForm } from "./kubernetes-form.ts";
import type { Injection } from "./injection.ts";
import { forbidden, type Problem } from "#model/problem.ts";
import { askedKind, PROXY_CONTAINER, proxyKindOf, type ProxyKind } from "./proxy-kind.ts";

const INJECT = "sidecar.istio.io/inject";
/** Namespaces that the cluster itself lives in; Istio leaves them alone as well. */
const NEVER_INJECTED: readonly string[] = ["kube-system", "kube-public", "kube-node-lease", "weft-system"];

export type InjectionForm =
  | { readonly kind: "embedded" }
  /** `image`: Weft's own, as nodes know it. */
  | { readonly kind: "kubernetes"; readonly image: string };

export const EMBEDDED: InjectionForm = { kind: "embedded" };

/** What injection would add; or why it adds nothing. */
export type InjectionChoice = { readonly inject: ProxyKind; readonly reason: string } | { readonly inject: undefined; readonly reason: string };

export function chooseInjection(pod: Pod, namespace: Namespace | undefined): InjectionChoice {
  const { labels = {}, annotations = {} } = pod.metadata;
  const own = labels[INJECT] ?? annotations[INJECT];
  const space = namespace?.metadata.labels?.["istio-injection"];
  const name = pod.metadata.namespace ?? namespace?.metadata.name ?? "default";
  if (pod.spec.hostNetwork === true) return { inject: undefined, reason: "spec.hostNetwork is true" };
  if (pod.spec.os?.name === "windows") return { inject: undefined, reason: "spec.os.name is windows" };
  if (NEVER_INJECTED.includes(name)) return { inject: undefined, reason: `namespace ${name} is never injected` };
  if (own === "false") return { inject: undefined, reason: `${INJECT} is "false"` };
  const kind = askedKind(pod);
  if (own === "true") return { inject: kind, reason: `${INJECT} is "true"` };
  if (space === "enabled") return { inject: kind, reason: `Namespace ${name} has the label istio-injection=enabled` };
  return { inject: undefined, reason: `Namespace ${name} has no label istio-injection=enabled` };
}

export function injectProxy(pod: Pod, namespace: Namespace | undefined, form: InjectionForm): Injection {
  const choice = chooseInjection(pod, namespace);
  if (choice.inject === undefined) return { pod, problems: form.kind === "kubernetes" ? ownProxy(pod, choice.reason) : [], warnings: [] };
  return form.kind === "embedded" ? embeddedForm(pod, choice.inject) : kubernetesForm(pod, choice.inject, form.image);
}

/** Agents give what they give a proxy to a container of that name, so nobody brings one; in a node's own network it would get nothing. */
function ownProxy(pod: Pod, reason: string): readonly Problem[] {
  const place = pod.metadata.namespace ?? "default";
  if (proxyKindOf(pod) === undefined || pod.spec.hostNetwork === true || NEVER_INJECTED.includes(place)) return [];
  const lists = ["initContainers", "containers"] as const;
  return lists.flatMap((list) =>
    (pod.spec[list] ?? []).flatMap(({ name }, index) =>
      name === PROXY_CONTAINER
        ? [
            forbidden(
              `spec.${list}[${index}].name`,
              `${PROXY_CONTAINER} is the name of the proxy that injection adds, and ${reason}; give the container another name, or the pod the label ${INJECT}: "true"`,
            ),
          ]
        : [],
    ),
  );
}
