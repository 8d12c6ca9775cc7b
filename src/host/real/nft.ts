/** nftables by Debian's `nft`: libnftables is GPL-2 and must not be loaded into our process. */
import { HostError } from "#host/host-error.ts";
import type { Nft } from "#host/nft.ts";
import type { Processes } from "#host/processes.ts";

const TIMEOUT_MS = 30_000;

export function realNft(processes: Processes): Nft {
  const run = async (args: readonly string[], netns: string | undefined, stdin?: string) => {
    const where = netns === undefined ? {} : { netns };
    const result = await processes.run(["nft", ...args], {
      ...where,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
      timeoutMs: TIMEOUT_MS,
      ...(stdin === undefined ? {} : { stdin }),
    });
    if (result.code !== 0)
      throw new HostError("ERR_NFT", `nft ${args.join(" ")}${netns === undefined ? "" : ` in ${netns}`}`, explain(result.stderr, stdin ?? ""));
    return result.stdout;
  };
  return {
    async elements({ family, table, name }, netns) {
      const listed = await run(["list", "map", family, table, name], netns).catch((error: unknown) => {
        if (error instanceof HostError && error.message.includes("No such file or directory")) return "";
        throw error;
      });
      return /\belements = \{(.*)\}\s*\}\s*\}\s*$/s.exec(listed)?.[1]?.replaceAll(/\s+/g, " ").trim() ?? "";
    },
    apply: async (ruleset, netns) => void (await run(["-f", "-"], netns, ruleset)),
    list: (netns) => run(["-a", "list", "ruleset"], netns),
  };
}

/** nft names the line ("/dev/stdin:3:8-10: Error: ..."): the reader wants to see it. */
function explain(stderr: string, ruleset: string): string {
  const message = stderr.trim().split("\n")[0] ?? "failed without a word";
  const line = /^[^:]*:(\d+):/.exec(message)?.[1];
  const text = line === undefined ? undefined : ruleset.split("\n")[Number(line) - 1]?.trim();
  return text === undefined ? message : `${message} in: ${text.slice(0, 300)}`;
}
