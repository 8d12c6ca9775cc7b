/**
 * The system call filter of a container, as the classic BPF program that bubblewrap installs. Namespaces and the lack of
 * capabilities do the work; the filter closes what namespaces do not cover: address families without a network namespace
 * (AF_VSOCK reaches the hypervisor from anywhere), io_uring (makes sockets past a filter on socket(2)), kernel keyrings,
 * and kernel surface that no service needs.
 *
 * Layout of struct seccomp_data: nr at 0, arch at 4, arguments from 16, 8 bytes each, low half first (little endian).
 */
interface Machine {
  /** AUDIT_ARCH_*, linux/audit.h. */
  readonly audit: number;
  readonly socket: number;
  readonly ioctl: number;
  readonly denied: readonly number[];
}

// fsopen and its kin, io_uring and mount_setattr have the same numbers on every machine (since Linux 5.0).
const sameEverywhere = { io_uring: [425, 426, 427], mounts: [428, 429, 430, 431, 432, 433, 442] };

/** asm/unistd_64.h */
const x86 = {
  audit: 0xc000003e,
  socket: 41,
  ioctl: 16,
  denied: [
    ...[248, 249, 250], // add_key request_key keyctl
    ...[298, 321, 323], // perf_event_open bpf userfaultfd
    ...[155, 165, 166, 272], // pivot_root mount umount2 unshare
    ...[303, 304], // name_to_handle_at open_by_handle_at: opens files by number, past every mount
    ...[103, 153, 163, 167, 168, 169, 179], // syslog vhangup acct swapon swapoff reboot quotactl
    ...[159, 164, 227, 305], // adjtimex settimeofday clock_settime clock_adjtime
    ...[172, 173, 175, 176, 246, 313, 320], // iopl ioperm init_module delete_module kexec_load finit_module kexec_file_load
    ...sameEverywhere.io_uring,
    ...sameEverywhere.mounts,
  ],
} satisfies Machine;

/** asm-generic/unistd.h, as arm64 uses it */
const arm64 = {
  audit: 0xc00000b7,
  socket: 198,
  ioctl: 29,
  denied: [
    ...[217, 218, 219],
    ...[241, 280, 282],
    ...[41, 40, 39, 97],
    ...[264, 265],
    ...[116, 58, 89, 224, 225, 142, 60],
    ...[171, 170, 112, 266],
    ...[105, 106, 104, 273, 294],
    ...sameEverywhere.io_uring,
    ...sameEverywhere.mounts,
  ],
} satisfies Machine;

/** AF_UNIX AF_INET AF_INET6 AF_NETLINK (getifaddrs). */
const families = [1, 2, 10, 16];
/** Pushes characters into a terminal's input, as if typed. */
const TIOCSTI = 0x5412;
/** x86-64 also takes the numbers of its x32 ABI, with this bit: they would slip past every comparison. */
const x32Bit = 0x40000000;

// linux/bpf_common.h and linux/seccomp.h
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER_EQUAL = 0x35;
const RETURN = 0x06;
const ALLOW = 0x7fff0000;
const FAIL = 0x00050000;
const EPERM = 1;
const EAFNOSUPPORT = 97;

type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, value: number];

export function seccompFilter(): Uint8Array {
  const x86Block = block(x86);
  const program: Instruction[] = [
    [LOAD, 0, 0, 4],
    [JUMP_EQUAL, 0, x86Block.length, x86.audit],
    ...x86Block,
    [JUMP_EQUAL, 1, 0, arm64.audit],
    // Another machine's calling convention (32 bit on 64) has other numbers: nothing is let through.
    [RETURN, 0, 0, FAIL | EPERM],
    ...block(arm64),
  ];
  return encode(program);
}

function block(machine: Machine): Instruction[] {
  const { socket, ioctl, denied } = machine;
  const socketBlock: Instruction[] = [
    [LOAD, 0, 0, 16],
    ...families.map((family, index): Instruction => [JUMP_EQUAL, families.length - index, 0, family]),
    [RETURN, 0, 0, FAIL | EAFNOSUPPORT],
    [RETURN, 0, 0, ALLOW],
  ];
  const ioctlBlock: Instruction[] = [
    [LOAD, 0, 0, 24],
    [JUMP_EQUAL, 1, 0, TIOCSTI],
    [RETURN, 0, 0, ALLOW],
  ];
  const afterDenied = 3;
  const toDeny = afterDenied + socketBlock.length + ioctlBlock.length;
  return [
    [LOAD, 0, 0, 0],
    [JUMP_GREATER_EQUAL, denied.length + toDeny, 0, x32Bit],
    ...denied.map((number, index): Instruction => [JUMP_EQUAL, denied.length - index - 1 + toDeny, 0, number]),
    [JUMP_EQUAL, 2, 0, socket],
    [JUMP_EQUAL, 1 + socketBlock.length, 0, ioctl],
    [RETURN, 0, 0, ALLOW],
    ...socketBlock,
    ...ioctlBlock,
    [RETURN, 0, 0, FAIL | EPERM],
  ];
}

/** struct sock_filter: u16 code, u8 jt, u8 jf, u32 k. */
function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, whenTrue, whenFalse, value], index) => {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, whenTrue);
    view.setUint8(index * 8 + 3, whenFalse);
    view.setUint32(index * 8 + 4, value >>> 0, true);
  });
  return bytes;
}
