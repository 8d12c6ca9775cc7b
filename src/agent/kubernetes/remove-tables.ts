/** Removes the nftables of Weft from a namespace, whichever version made them: by their names' beginning. */
import type { Host } from "#host/host.ts";

const OWN_TABLE = /^table (ip|ip6|inet) (weft[a-z0-9-]*)$/;

export async function removeTables(host: Pick<Host, "processes" | "nft">, netns: string | undefined): Promise<void> {
  const inside = netns === undefined ? {} : { netns };
  const listed = await host.processes.run(["nft", "list", "tables"], inside);
  if (listed.code !== 0) throw new Error(`nft list tables: ${listed.stderr.trim()}`);
  const own = listed.stdout.split("\n").filter((line) => OWN_TABLE.test(line.trim()));
  const text = own.map((line) => `delete ${line.trim()}\n`).join("");
  if (text !== "") await host.nft.apply(text, netns);
}
