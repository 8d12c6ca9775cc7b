/** Whom x-forwarded-for names as the client. */
import { parseIp } from "#lib/ip.ts";

/** The address `hops` from the right; undefined when there is none, or it is no address. */
export function trustedHop(forwarded: string | undefined, hops: number): string | undefined {
  const address = forwarded
    ?.split(",")
    .at(-1 - hops)
    ?.trim();
  return address === undefined || parseIp(address) === undefined ? undefined : address;
}
