/**
 * The inner half of the supervisor of an embedded cluster. It runs inside the cluster's own mount, pid and network
 * namespaces (and user namespace, for an ordinary user), below a small init that reaps, and is told what to do by the
 * outer half, `weft up`, over its standard input (model/supervisor-link.ts).
 *
 * It lays out /run/weft (configuration, certificates, folders of nodes), wires nodes to the underlay, offers the outer
 * half a way in (forward.ts) and out for names (names.ts), and starts and restarts the programs. It decides nothing
 * about pods or services: that is the programs' work.
 *
 * It assumes that /run is an empty tmpfs of the cluster and that it may change the network namespace it is in. When the
 * outer half is gone its input ends, and it ends too; when it ends, init ends, and the kernel removes everything.
 */
import type { Host } from "#host/host.ts";
import type { RuntimeConfig } from "#model/config.ts";
import type { FromInner, ProgramCertificate, ToInner } from "#model/supervisor-link.ts";
import { serveForwards } from "./forward.ts";
import { relayNames, type NameRelay } from "./names.ts";
import { buildNetwork } from "./network.ts";
import { ProgramRunner, programsOf } from "./programs.ts";

export interface Supervisor {
  received(message: ToInner): void;
  stop(): Promise<void>;
}

/** `ended` is called after stop; the process may exit then. */
export function startSupervisor(host: Host, send: (message: FromInner) => void, ended: (code: number) => void): Supervisor {
  let runner: ProgramRunner | undefined;
  let names: NameRelay | undefined;
  let stopped: Promise<void> | undefined;

  const begin = async (start: ToInner & { kind: "start" }): Promise<void> => {
    const { config } = start;
    await Promise.all([layOut(host, config, start.certificates), buildNetwork(host, config)]);
    names = await relayNames(host, config.controlAddress, send);
    await serveForwards(host);
    send({ kind: "network", nodes: config.nodes.length });
    runner = new ProgramRunner(host, { logs: `${config.stateDir}/logs`, env: start.env, send });
    await runner.start(programsOf(config));
  };
  const stop = (): Promise<void> =>
    (stopped ??= (async () => {
      await runner?.stop();
      send({ kind: "stopped" });
      ended(0);
    })());

  return {
    received(message) {
      switch (message.kind) {
        case "start":
          begin(message).catch((error: unknown) => {
            send({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
            ended(1);
          });
          break;
        case "stop":
          void stop();
          break;
        case "names-answer":
          names?.answered(message.id, message.base64);
          break;
      }
    },
    stop,
  };
}

async function layOut(host: Pick<Host, "files">, config: RuntimeConfig, certificates: readonly ProgramCertificate[]): Promise<void> {
  const { files } = host;
  await files.makeDirectory(config.runDir, { mode: 0o755 });
  await files.makeDirectory(`${config.runDir}/tmp`, { mode: 0o700 });
  for (const node of config.nodes) await files.makeDirectory(`${config.runDir}/nodes/${node.name}/pods`, { mode: 0o755 });
  for (const { program, certificate, privateKey, ca } of certificates) {
    const folder = `${config.runDir}/pki/${program}`;
    await files.makeDirectory(folder, { mode: 0o700 });
    await files.writeAtomic(`${folder}/tls.crt`, certificate);
    await files.writeAtomic(`${folder}/tls.key`, privateKey, { mode: 0o600 });
    await files.writeAtomic(`${folder}/ca.crt`, ca);
  }
  await files.writeAtomic(`${config.runDir}/config.json`, JSON.stringify(config, undefined, 2));
}
