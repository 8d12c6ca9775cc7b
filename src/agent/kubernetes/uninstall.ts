/**
 * The last that an agent does on a node: takes away all that agents ever made there, then says so on /readyz and stays,
 * so that whoever uninstalls can see when every node is clean. Pods that run keep their namespaces but for our rules; with
 * profile full they have no network until another one makes theirs, so their node should be drained before.
 */
import { VXLAN_DEVICE } from "#compile/node/settings.ts";
import type { Host } from "#host/host.ts";
import type { SocketAddress } from "#host/net.ts";
import { Health } from "#run/health.ts";
import type { Log } from "#run/log.ts";
import { Parts, type Running } from "#run/program.ts";
import { FormerSysctls, SYSCTLS_FILE } from "#agent/former-sysctls.ts";
import { PodRecords } from "#agent/pod-records.ts";
import { removeConfigs } from "./network-config.ts";
import type { NodePaths } from "./node-paths.ts";
import { removePlugin } from "./plugin-files.ts";
import { removeTables } from "./remove-tables.ts";

export interface UninstallOptions {
  readonly paths: NodePaths;
  readonly dnsAddress: string;
  readonly pages: SocketAddress;
  readonly profile: "full" | "mesh";
}

/** Host ends of pods' links, as compile/node/naming.ts makes them, and the tunnel. */
const OWN_LINK = /^weft[0-9a-f]{11}$/;
const RETRY_MS = 2_000;

export async function runUninstall(host: Host, options: UninstallOptions, log: Log): Promise<Running> {
  const parts = new Parts({ clock: host.clock, log });
  const health = new Health();
  health.set("uninstall", "not done yet");
  const pages = await host.http.serve(
    { address: options.pages },
    {
      onRequest(exchange) {
        const { ok, text } = health.report();
        const known = ["/readyz", "/healthz"].includes(new URL(exchange.url, "http://agent").pathname);
        exchange.respond(
          known ? (ok ? 200 : 503) : 404,
          { "content-type": "text/plain; charset=utf-8" },
          known ? text : "this agent uninstalls; ask /readyz\n",
        );
      },
    },
  );
  parts.closing("pages", () => pages.close());
  const stopped = new AbortController();
  parts.closing("uninstall", () => stopped.abort(new Error("stopped")));
  void (async () => {
    while (!stopped.signal.aborted) {
      try {
        await clean(host, options, log);
        health.set("uninstall", undefined);
        log.info("nothing of Weft is left on this node but this program");
        return;
      } catch (error) {
        health.set("uninstall", error instanceof Error ? error.message : String(error));
        log.warn("could not remove all yet; it is tried again", { error });
        await host.clock.sleep(RETRY_MS, stopped.signal).catch(() => undefined);
      }
    }
  })();
  return parts;
}

/** In this order: no new pod begins on what is being taken away. */
async function clean(host: Host, { paths, dnsAddress, profile }: UninstallOptions, log: Log): Promise<void> {
  await removeConfigs(host.files, paths.networkConfigs);
  await removePlugin(host.files, paths.plugins);
  const records = new PodRecords(host, `${paths.state}/pods.json`);
  for (const { netns } of await records.load()) await removeTables(host, netns);
  await removeTables(host, undefined);
  const session = host.netlink.open();
  try {
    for (const { name } of await session.links()) if (name === VXLAN_DEVICE || OWN_LINK.test(name)) await session.deleteLink(name);
    if (profile === "full") await session.deleteAddress("lo", `${dnsAddress}/32`);
  } finally {
    session.close();
  }
  const restored = await new FormerSysctls(host, `${paths.state}/${SYSCTLS_FILE}`).restore();
  if (restored.length > 0) log.info("settings of the node are as they were before Weft", { settings: restored.join(", ") });
  await host.files.remove(paths.state);
}
