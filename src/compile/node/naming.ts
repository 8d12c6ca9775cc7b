/** Names and MAC addresses that every node derives alike, so that nobody has to tell anybody. */
import { createHash } from "node:crypto";

/** The node's end of a pod's link: "weft" and 11 digits, because Linux allows 15 characters. */
export function hostLinkName(podUid: string): string {
  return `weft${digest(podUid).slice(0, 11)}`;
}

/** Locally administered, unicast. */
export function macOf(seed: string): string {
  const digits = digest(seed);
  return `02:${[0, 2, 4, 6, 8].map((i) => digits.slice(i, i + 2)).join(":")}`;
}

export const podMac = (podUid: string) => macOf(`pod ${podUid}`);
export const hostMac = (podUid: string) => macOf(`host ${podUid}`);
export const tunnelMac = (underlayAddress: string) => macOf(`vxlan ${underlayAddress}`);

/** A name that nft takes; long ones end in a digest. */
export function nftName(text: string): string {
  const name = text.replaceAll(/[^A-Za-z0-9/._-]/g, "_");
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME - 17)}-${digest(text).slice(0, 16)}`;
}

/** The kernel's NFT_NAME_MAXLEN is 256. */
const MAX_NAME = 200;

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** A comment that the kernel takes: the text, or the name of a note that holds it (NodePlan.notes). */
export function comment(text: string): string {
  return isShort(text) ? text : `note-${digest(text).slice(0, 16)}`;
}

export function isShort(text: string): boolean {
  return Buffer.byteLength(text) <= MAX_COMMENT_BYTES;
}

const MAX_COMMENT_BYTES = 127;
