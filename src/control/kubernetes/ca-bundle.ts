/**
 * Keeps the root's certificate in the webhook's configuration, so that the API server trusts the injector. The configuration
 * itself is the installation's; one that is not there is waited for.
 */
import type { ApiClient } from "#client/client.ts";
import { watchEvents } from "#client/watch.ts";
import type { Host } from "#host/host.ts";
import type { KubeObject } from "#model/object.ts";
import type { Log } from "#run/log.ts";

const CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig: { readonly caBundle?: string } }[];
}

export interface CaBundleOptions {
  readonly api: Pick<ApiClient, "request">;
  readonly log: Log;
  /** Of the MutatingWebhookConfiguration. */
  readonly name: string;
  /** PEM. */
  readonly root: string;
}

export function keepCaBundle(host: Pick<Host, "clock">, options: CaBundleOptions): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const done = keep(host, options, stopping.signal);
  return {
    stop() {
      stopping.abort(new Error("stopped"));
      return done;
    },
  };
}

async function keep({ clock }: Pick<Host, "clock">, { api, log, name, root }: CaBundleOptions, signal: AbortSignal): Promise<void> {
  const caBundle = Buffer.from(root).toString("base64");
  const fieldSelector = `metadata.name=${name}`;
  const look = async ({ webhooks = [] }: WebhookConfiguration): Promise<void> => {
    const patch = webhooks.flatMap((webhook, i) => {
      if (webhook.clientConfig.caBundle === caBundle) return [];
      const at = `/webhooks/${i}`;
      return [
        { op: "test", path: `${at}/name`, value: webhook.name },
        { op: "add", path: `${at}/clientConfig/caBundle`, value: caBundle },
      ];
    });
    if (patch.length === 0) return;
    const response = await api.request("PATCH", `${CONFIGURATIONS}/${name}`, { body: patch, contentType: "application/json-patch+json", timeoutMs: 10_000 });
    await response.text();
    log.info("put the root's certificate into the webhook's configuration", { object: `MutatingWebhookConfiguration ${name}` });
  };
  let waitMs = FIRST_WAIT_MS;
  let isNew = true;
  while (!signal.aborted) {
    try {
      const response = await api.request("GET", CONFIGURATIONS, { query: { fieldSelector }, timeoutMs: 10_000 });
      const list = JSON.parse(await response.text()) as {
        readonly items?: readonly WebhookConfiguration[];
        readonly metadata: { readonly resourceVersion: string };
      };
      for (const each of list.items ?? []) await look(each);
      isNew = true;
      const watch = { resourceVersion: list.metadata.resourceVersion, fieldSelector, signal };
      const request: Parameters<typeof watchEvents>[0] = (method, path, more) => api.request(method, path, more);
      for await (const { type, object } of watchEvents<WebhookConfiguration>(request, CONFIGURATIONS, watch)) {
        waitMs = FIRST_WAIT_MS;
        if (type === "ADDED" || type === "MODIFIED") await look(object);
      }
    } catch (error) {
      if (signal.aborted) return;
      log[isNew ? "warn" : "debug"]("cannot keep the webhook's configuration and will try again", { object: `MutatingWebhookConfiguration ${name}`, error });
      isNew = false;
    }
    try {
      await clock.sleep(waitMs, signal);
    } catch {
      return;
    }
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  }
}
