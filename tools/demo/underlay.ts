import type { ChildProcess } from "node:child_process";
import type { Capture } from "./world.ts";

/** What a capture of the underlay says: is there VXLAN, is TLS 1.3 in it, does a text stand anywhere in the clear. */
export interface UnderlayFacts {
  readonly frames: number;
  readonly vxlanFrames: number;
  /** ServerHello messages that choose TLS 1.3, inside VXLAN or bare. */
  readonly tls13Handshakes: number;
  /** Frames in which the marker stands in the clear. */
  readonly plainMarkers: number;
}

const ETHERTYPE_IPV4 = 0x0800;
const UDP = 17;
const VXLAN_PORT = 4789;
const ETHERNET_BYTES = 14;
/** Outer Ethernet, IPv4 and UDP, then 8 bytes of VXLAN (RFC 7348). */
const VXLAN_BYTES = 8;
/** RFC 8446 4.2.1: supported_versions of a ServerHello that chose 0x0304. */
const CHOSE_TLS13 = Buffer.from([0x00, 0x2b, 0x00, 0x02, 0x03, 0x04]);
/** RFC 8446 5.1: a handshake record, and 4: server_hello. */
const HANDSHAKE_RECORD = Buffer.from([0x16, 0x03, 0x03]);
const SERVER_HELLO = 2;

export function readUnderlay(frames: readonly Uint8Array[], marker: string): UnderlayFacts {
  const text = Buffer.from(marker);
  let vxlanFrames = 0;
  let tls13Handshakes = 0;
  let plainMarkers = 0;
  for (const bytes of frames) {
    const frame = Buffer.from(bytes);
    if (frame.includes(text)) plainMarkers += 1;
    const tunnelled = insideVxlan(frame);
    if (tunnelled !== undefined) vxlanFrames += 1;
    const inner = tunnelled ?? frame;
    const record = inner.indexOf(HANDSHAKE_RECORD);
    if (record >= 0 && inner[record + 5] === SERVER_HELLO && inner.includes(CHOSE_TLS13, record)) tls13Handshakes += 1;
  }
  return { frames: frames.length, vxlanFrames, tls13Handshakes, plainMarkers };
}

/** The frame that travels inside; undefined when this is no VXLAN. */
function insideVxlan(frame: Buffer): Buffer | undefined {
  if (frame.length < ETHERNET_BYTES + 20 || frame.readUInt16BE(12) !== ETHERTYPE_IPV4) return undefined;
  const headerBytes = ((frame[ETHERNET_BYTES] ?? 0) & 0x0f) * 4;
  const udp = ETHERNET_BYTES + headerBytes;
  if (frame[ETHERNET_BYTES + 9] !== UDP || frame.length < udp + 8 + VXLAN_BYTES || frame.readUInt16BE(udp + 2) !== VXLAN_PORT) return undefined;
  return frame.subarray(udp + 8 + VXLAN_BYTES);
}

/** Of programs that write frames as capture.ts does, until their standard input ends. */
export function captureOf(children: readonly ChildProcess[]): Capture {
  const parts = children.map((child) => {
    const chunks: Buffer[] = [];
    child.stdout?.on("data", (bytes: Buffer) => chunks.push(bytes));
    return chunks;
  });
  return {
    async finish() {
      await Promise.all(
        children.map((child) => {
          const ended = new Promise((resolve) => child.on("close", resolve));
          child.stdin?.end();
          return ended;
        }),
      );
      return parts.flatMap((chunks) => splitFrames(Buffer.concat(chunks)));
    },
  };
}

/** Frames as capture.ts writes them: each after its length in four bytes. */
function splitFrames(bytes: Buffer): readonly Uint8Array[] {
  const frames: Uint8Array[] = [];
  let at = 0;
  while (at + 4 <= bytes.length && at + 4 + bytes.readUInt32BE(at) <= bytes.length) {
    const end = at + 4 + bytes.readUInt32BE(at);
    frames.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return frames;
}
