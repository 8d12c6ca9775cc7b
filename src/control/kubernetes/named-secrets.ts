/**
 * Follows the Secrets that Gateways name, each by itself, and no others: a control plane that could read every Secret of a
 * cluster would be worth stealing. One that may not be read counts as missing, which the Gateway's status says.
 */
import { gatewayNamespaces, gatewaySecrets } from "#compile/mesh/gateway-secrets.ts";
import type { ApiClient } from "#client/client.ts";
import { followWorld } from "#client/informer.ts";
import type { FollowedWorld, ObjectChange } from "#client/informer.ts";
import type { Host } from "#host/host.ts";
import { structurallyEqual } from "#lib/equal.ts";
import type { KindId } from "#model/kinds.ts";
import type { WorldReader } from "#model/world.ts";
import type { Log } from "#run/log.ts";
import { splitKey } from "#control/owner-keys.ts";

export interface NamedSecretsOptions {
  readonly api: ApiClient;
  readonly log: Log;
  readonly world: WorldReader;
  /** Secrets that came, changed or went. */
  readonly changed: (changes: readonly ObjectChange[]) => void;
}

/** What names Secrets, or says that it may. */
const NAMING: ReadonlySet<KindId> = new Set<KindId>(["Gateway", "IstioGateway", "ReferenceGrant"]);
/** Long enough for one answer, not for one that is refused again and again. */
const FIRST_ANSWER_MS = 5_000;

export class NamedSecrets {
  readonly #host: Pick<Host, "clock" | "random">;
  readonly #options: NamedSecretsOptions;
  readonly #followed = new Map<string, FollowedWorld>();
  #namespaces: readonly string[] = [];

  constructor(host: Pick<Host, "clock" | "random">, options: NamedSecretsOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** Called after the World has these changes. */
  apply(changes: readonly ObjectChange[]): void {
    const named = changes.some(({ kind }) => NAMING.has(kind));
    const pods = changes.some(({ kind }) => kind === "Pod") && this.#options.world.all("IstioGateway").length > 0;
    const namespaces = pods ? gatewayNamespaces(this.#options.world.all("Pod")) : this.#namespaces;
    if (!named && structurallyEqual(namespaces, this.#namespaces)) return;
    this.#namespaces = namespaces;
    const wanted = gatewaySecrets(this.#options.world);
    for (const [key, followed] of this.#followed) if (!wanted.has(key)) this.#leave(key, followed);
    for (const key of wanted) if (!this.#followed.has(key)) this.#followed.set(key, this.#follow(key));
  }

  /** Resolves when all that are named now have been read, or nobody can say when they will be. */
  async settled(): Promise<void> {
    const all = Promise.all([...this.#followed.values()].map(({ ready }) => ready));
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#host.clock.after(FIRST_ANSWER_MS, resolve);
    await Promise.race([all, late]);
    timer.cancel();
  }

  stop(): void {
    for (const followed of this.#followed.values()) followed.stop();
  }

  #follow(key: string): FollowedWorld {
    const { api, log, changed } = this.#options;
    const { namespace, name } = splitKey(key);
    return followWorld(api, ["Secret"], {
      host: this.#host,
      only: { Secret: { namespace, fieldSelector: `metadata.name=${name}` } },
      changed: (changes) => {
        if (changes.length > 0) changed(changes);
      },
      // One that may not be read stays so until somebody changes a role.
      onTrouble: (_, error, isNew) =>
        log[isNew ? "warn" : "debug"]("cannot read a Secret that a Gateway names and will try again", { object: `Secret ${key}`, error }),
    });
  }

  #leave(key: string, followed: FollowedWorld): void {
    followed.stop();
    this.#followed.delete(key);
    const before = followed.world.Secret?.get(key);
    if (before !== undefined) this.#options.changed([{ kind: "Secret", key, before, after: undefined }]);
  }
}
