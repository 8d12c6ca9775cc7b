/**
 * What load balancers ask a node about a Service whose external traffic stays local (`healthCheckNodePort`): 200 while an
 * endpoint is on this node, else 503, with the words that Kubernetes' own proxy has for it.
 */
import type { Host } from "#host/host.ts";
import type { HttpExchange, HttpServer } from "#host/http.ts";
import type { NodePlan, ServiceHealthCheck } from "#model/plan/node-plan.ts";
import { formatProvenance } from "#model/provenance.ts";
import type { Log } from "#run/log.ts";

interface Listening {
  check: ServiceHealthCheck;
  readonly server: Promise<HttpServer | undefined>;
}

export class ServiceHealth {
  readonly #host: Pick<Host, "http">;
  readonly #log: Log;
  readonly #ports = new Map<number, Listening>();

  constructor(host: Pick<Host, "http">, log: Log) {
    this.#host = host;
    this.#log = log;
  }

  /** After each plan. */
  applied({ healthChecks }: Pick<NodePlan, "healthChecks">): void {
    const wanted = new Map(healthChecks.toReversed().map((check) => [check.port, check]));
    for (const [port, { server }] of this.#ports) {
      if (wanted.has(port)) continue;
      this.#ports.delete(port);
      void server.then((listening) => listening?.close());
    }
    for (const [port, check] of wanted) {
      const known = this.#ports.get(port);
      if (known === undefined) this.#ports.set(port, this.#listen(check));
      else known.check = check;
    }
  }

  async close(): Promise<void> {
    const servers = [...this.#ports.values()].map(({ server }) => server);
    this.#ports.clear();
    await Promise.all(servers.map(async (server) => (await server)?.close()));
  }

  #listen(check: ServiceHealthCheck): Listening {
    const { port } = check;
    const server = this.#host.http
      .serve({ address: { ip: "0.0.0.0", port }, maxBodyBytes: 0 }, { onRequest: (exchange) => answer(this.#ports.get(port)?.check ?? check, exchange) })
      .catch((error: unknown) => {
        this.#log.warn("could not open the port where load balancers ask for the Service's health; it is tried again after the next change", {
          object: formatProvenance(check.by),
          error,
        });
        this.#ports.delete(port);
        return undefined;
      });
    return { check, server };
  }
}

function answer({ namespace, name, localEndpoints }: ServiceHealthCheck, exchange: HttpExchange): void {
  const body = { service: { namespace, name }, localEndpoints, serviceProxyHealthy: true };
  const headers = { "content-type": "application/json", "x-content-type-options": "nosniff", "x-load-balancing-endpoint-weight": String(localEndpoints) };
  exchange.respond(localEndpoints > 0 ? 200 : 503, headers, `${JSON.stringify(body)}\n`);
}
