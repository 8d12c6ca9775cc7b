/**
 * The system call filter of a container, as the classic BPF program that bubblewrap installs. Namespaces and the lack of
 * capabilities do the work; the filter closes what namespaces do not cover: address families without a network namespace
 * (AF_VSOCK reaches the hypervisor from anywhere), io_uring (makes sockets past a filter on socket(2)), kernel keyrings,
 * and kernel surface that no service needs. The first process of a container is bubblewrap's own and has no filter: nobody
 * may trace it or take its files (its folder in /proc is covered as well, file-system.ts), or its system calls were theirs.
 *
 * Layout of struct seccomp_data: nr at 0, arch at 4, arguments from 16, 8 bytes each, low half first (little endian).
 */
interface Machine {
  /** AUDIT_ARCH_*, linux/audit.h. */
  readonly audit: number;
  readonly socket: number;
  readonly ioctl: number;
  readonly ptrace: number;
  readonly denied: readonly number[];
}

// fsopen and its kin, io_uring and mount_setattr have the same numbers on every machine (since Linux 5.0).
const sameEverywhere = { io_uring: [425, 426, 427], mounts: [428, 429, 430, 431, 432, 433, 442], pidfd_getfd: [438] };

/** asm/unistd_64.h */
const x86 = {
  audit: 0xc000003e,
  socket: 41,
  ioctl: 16,
  ptrace: 101,
  denied: [
    ...[248, 249, 250], // add_key request_key keyctl
    ...[298, 321, 323], // perf_event_open bpf userfaultfd
    ...[155, 165, 166, 272], // pivot_root mount umount2 unshare
    ...[303, 304], // name_to_handle_at open_by_handle_at: opens files by number, past every mount
    ...[103, 153, 163, 167, 168, 169, 179], // syslog vhangup acct swapon swapoff reboot quotactl
    ...[159, 164, 227, 305], // adjtimex settimeofday clock_settime clock_adjtime
    ...[310, 311], // process_vm_readv process_vm_writev: memory of the first process
    ...[172, 173, 175, 176, 246, 313, 320], // iopl ioperm init_module delete_module kexec_load finit_module kexec_file_load
    ...sameEverywhere.io_uring,
    ...sameEverywhere.mounts,
    ...sameEverywhere.pidfd_getfd,
  ],
} satisfies Machine;

/** asm-generic/unistd.h, as arm64 uses it */
const arm64 = {
  audit: 0xc00000b7,
  socket: 198,
  ioctl: 29,
  ptrace: 117,
  denied: [
    ...[217, 218, 219],
    ...[241, 280, 282],
    ...[41, 40, 39, 97],
    ...[264, 265],
    ...[116, 58, 89, 224, 225, 142, 60],
    ...[171, 170, 112, 266],
    ...[270, 271],
    ...[105, 106, 104, 273, 294],
    ...sameEverywhere.io_uring,
    ...sameEverywhere.mounts,
    ...sameEverywhere.pidfd_getfd,
  ],
} satisfies Machine;

/** AF_UNIX AF_INET AF_INET6 AF_NETLINK (getifaddrs). */
const families = [1, 2, 10, 16];
/** Pushes characters into a terminal's input, as if typed. */
const TIOCSTI = 0x5412;
/** In a container's pid namespace. */
const firstProcess = 1;
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

/** A system call that depends on the low half of one argument. Each such part decides to the end. */
interface Conditional {
  readonly number: number;
  readonly decide: readonly Instruction[];
}

/** Where the argument lies in struct seccomp_data. */
const argument = (index: number): number => 16 + 8 * index;

function block({ socket, ioctl, ptrace, denied }: Machine): Instruction[] {
  const conditionals: readonly Conditional[] = [
    { number: socket, decide: onlyFamilies },
    { number: ioctl, decide: unless(1, TIOCSTI) },
    { number: ptrace, decide: unless(1, firstProcess) },
  ];
  const lengths = conditionals.map(({ decide }) => decide.length);
  const after = (index: number): number => lengths.slice(0, index).reduce((sum, length) => sum + length, 0);
  // From the instruction behind the last denied number: the conditionals' comparisons, one ALLOW, their parts, then the refusal.
  const toDeny = conditionals.length + 1 + after(conditionals.length);
  return [
    [LOAD, 0, 0, 0],
    [JUMP_GREATER_EQUAL, denied.length + toDeny, 0, x32Bit],
    ...denied.map((number, index): Instruction => [JUMP_EQUAL, denied.length - index - 1 + toDeny, 0, number]),
    ...conditionals.map(({ number }, index): Instruction => [JUMP_EQUAL, conditionals.length - index + after(index), 0, number]),
    [RETURN, 0, 0, ALLOW],
    ...conditionals.flatMap(({ decide }) => decide),
    [RETURN, 0, 0, FAIL | EPERM],
  ];
}

const onlyFamilies: readonly Instruction[] = [
  [LOAD, 0, 0, argument(0)],
  ...families.map((family, index): Instruction => [JUMP_EQUAL, families.length - index, 0, family]),
  [RETURN, 0, 0, FAIL | EAFNOSUPPORT],
  [RETURN, 0, 0, ALLOW],
];

function unless(index: number, value: number): readonly Instruction[] {
  return [
    [LOAD, 0, 0, argument(index)],
    [JUMP_EQUAL, 0, 1, value],
    [RETURN, 0, 0, FAIL | EPERM],
    [RETURN, 0, 0, ALLOW],
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
