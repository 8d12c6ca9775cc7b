/**
 * Pods and policies come by watches of their own, and either may be behind: a pod must not begin under rules that do not
 * know a policy which was there before it. So before a pod is wired the API is asked which policies there are now, and the
 * watch is waited for until it has told them all. Without the API what is known stays in force, and no pod waits for more.
 */
import type { ApiClient } from "#client/client.ts";
import type { Host } from "#host/host.ts";
import { objectKey } from "#model/object.ts";
import type { World } from "#model/world.ts";
import type { Log } from "#run/log.ts";

export interface PoliciesKnownOptions {
  readonly host: Pick<Host, "clock">;
  readonly api: ApiClient;
  readonly log: Log;
  readonly world: () => World;
  /** Whether the watches were well when last heard of: if not, asking would only cost time. */
  readonly isCurrent: () => boolean;
}

const KNOWN_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 5;

export function policiesKnown({ host, api, log, world, isCurrent }: PoliciesKnownOptions): (namespace: string) => Promise<void> {
  const isKnown = (key: string, revision: string): boolean => {
    const known = world().NetworkPolicy?.get(key)?.metadata.resourceVersion;
    // Of one kind revisions are numbers that grow.
    return known === revision || (known !== undefined && Number(known) > Number(revision));
  };
  return async (namespace) => {
    if (!isCurrent()) return;
    try {
      const { items } = await api.list("NetworkPolicy", { namespace });
      const until = host.clock.monotonic() + KNOWN_WITHIN_MS;
      for (const policy of items) {
        while (!isKnown(objectKey(policy), policy.metadata.resourceVersion ?? "")) {
          // It may have been deleted since, or the watch has just broken.
          if (host.clock.monotonic() > until) {
            log.warn("a policy of a new pod's namespace did not come by the watch in time", { object: `NetworkPolicy ${objectKey(policy)}` });
            return;
          }
          await host.clock.sleep(LOOK_EVERY_MS);
        }
      }
    } catch (error) {
      log.warn("could not ask which policies a new pod's namespace has; those that are known are in force", { object: `Namespace ${namespace}`, error });
    }
  };
}
