/**
 * Ways out of a pod. Each is a shell command that ends with status 0 exactly when it got what it wanted. The variables are
 * set by inside.ts. What a shell has no words for is written in Perl (part of every Debian), as plain system calls.
 */
export interface Attempt {
  readonly name: string;
  readonly command: string;
  /** Where the same command, run outside of the sandbox with the cluster's rights, shows that it would work: a reason says where it is not tried. */
  readonly control: { readonly root: true | string; readonly ordinary: true | string };
}

const perl = (script: string): string => `perl -MSocket -MIO::Socket::UNIX -e '${script}'`;
const everywhere = { root: true, ordinary: true } as const;
const oneUid = "a cluster of an ordinary user has one uid: there is no other to become";
const notTried = "what it would do outside is not wanted here";
const nothingLikeIt = { root: "outside, the first process is the test itself", ordinary: "outside, the first process is the test itself" } as const;

/** A connection to a server beside the pod, after `prepare` has done to the socket S what it can; the server's answer tells who was reached. */
function pastTheProxy(prepare: string, options: { readonly family?: string; readonly protocol?: number; readonly address?: string } = {}): string {
  const { family = "AF_INET", protocol = 6, address = "pack_sockaddr_in(8080, inet_aton($ENV{SERVER}))" } = options;
  const patience = "$SIG{ALRM} = sub { exit 1 }; alarm 1;";
  return perl(
    `${patience} socket(S, ${family}, SOCK_STREAM, ${protocol}) or exit 1; ${prepare}; connect(S, ${address}) or exit 1; exit(<S> =~ /DIRECT/ ? 0 : 1)`,
  );
}
const rulesHold = "the pod's rules hold outside of the sandbox too, for all that carries no mark";
const holdForAll = { root: rulesHold, ordinary: rulesHold } as const;

/** IPPROTO_MPTCP 262, SO_BINDTODEVICE 25, IP_OPTIONS 4. The source route leads over the loopback, whose traffic is not the proxy's. */
const bypasses: readonly Attempt[] = [
  { name: "pass its proxy with the mark", command: pastTheProxy('setsockopt(S, 1, 36, pack("i", 0x539))'), control: everywhere },
  { name: "pass its proxy by simply connecting", command: pastTheProxy("1"), control: holdForAll },
  { name: "pass its proxy on a socket bound to its link", command: pastTheProxy('setsockopt(S, 1, 25, "eth0\\0")'), control: holdForAll },
  { name: "pass its proxy on a socket bound to the loopback", command: pastTheProxy('setsockopt(S, 1, 25, "lo\\0")'), control: holdForAll },
  {
    name: "pass its proxy from the address that the proxy uses towards the application",
    command: pastTheProxy('bind(S, pack_sockaddr_in(0, inet_aton("127.0.0.6"))) or exit 1'),
    control: holdForAll,
  },
  {
    name: "pass its proxy by a source route",
    command: pastTheProxy('setsockopt(S, 0, 4, pack("C4 a4 C", 131, 7, 4, 0, inet_aton($ENV{SERVER}), 0)) or exit 1', {
      address: 'pack_sockaddr_in(8080, inet_aton("127.0.0.1"))',
    }),
    control: holdForAll,
  },
  { name: "pass its proxy by MPTCP", command: pastTheProxy("1", { protocol: 262 }), control: holdForAll },
  {
    name: "pass its proxy by an IPv6 socket to the IPv4 address",
    command: pastTheProxy("1", { family: "AF_INET6", address: 'pack_sockaddr_in6(8080, Socket::inet_pton(AF_INET6, "::ffff:$ENV{SERVER}"))' }),
    control: holdForAll,
  },
  {
    name: "pass its proxy by IPv6",
    command: pastTheProxy("1", { family: "AF_INET6", address: "pack_sockaddr_in6(8080, Socket::inet_pton(AF_INET6, $ENV{SERVER6}))" }),
    control: { root: "a pod has no IPv6 outside of its loopback", ordinary: "a pod has no IPv6 outside of its loopback" },
  },
  {
    name: "pass its proxy by the mark as another uid",
    command: `setpriv --reuid=1337 --regid=1337 --clear-groups ${pastTheProxy('setsockopt(S, 1, 36, pack("i", 0x539)) or exit 1')}`,
    control: { root: "another uid has no rights outside either", ordinary: oneUid },
  },
];

/** Values of SOL_SOCKET 1, SO_MARK 36, AF_PACKET 17, AF_VSOCK 40. */
export const attempts: readonly Attempt[] = [
  ...bypasses,
  { name: "flush the pod's rules", command: "nft flush ruleset", control: everywhere },
  { name: "add a rule before the mesh's", command: "nft add table inet mine", control: everywhere },
  { name: "add an address", command: "ip address add 10.9.9.9/32 dev lo", control: everywhere },
  { name: "take the pod's address away", command: "ip address del 10.0.0.7/32 dev lo", control: everywhere },
  { name: "add a route", command: "ip route add 10.8.0.0/16 dev lo", control: everywhere },
  { name: "take a link down", command: "ip link set lo down", control: everywhere },
  { name: "forward packets (sysctl)", command: "echo 1 > /proc/sys/net/ipv4/ip_forward", control: everywhere },
  {
    name: "set the mark that bypasses the proxy",
    command: perl('socket(S, AF_INET, SOCK_STREAM, 0) && setsockopt(S, 1, 36, pack("i", 0x539)) or exit 1'),
    control: everywhere,
  },
  { name: "open a raw socket", command: perl("socket(S, AF_INET, SOCK_RAW, 1) or exit 1"), control: everywhere },
  { name: "open a packet socket", command: perl("socket(S, 17, SOCK_RAW, 768) or exit 1"), control: everywhere },
  {
    name: "reach the hypervisor, past every network namespace",
    command: perl("socket(S, 40, SOCK_STREAM, 0) or exit 1"),
    control: { root: "not every kernel has AF_VSOCK", ordinary: "not every kernel has AF_VSOCK" },
  },
  { name: "become another uid", command: perl("$< = $> = 2000; exit($< == 2000 ? 0 : 1)"), control: { root: true, ordinary: oneUid } },
  { name: "become uid 0 of the host", command: 'setpriv --reuid=0 --clear-groups sh -c "cat $SECRETS/mesh-ca.key"', control: { root: true, ordinary: oneUid } },
  { name: "read the CA's key", command: 'grep -q SECRET "$SECRETS/mesh-ca.key"', control: everywhere },
  {
    name: "read the CA's key through /proc",
    command: 'for p in /proc/[0-9]*; do grep -q SECRET "$p/root$SECRETS/mesh-ca.key" && exit 0; done 2>/dev/null; exit 1',
    control: everywhere,
  },
  { name: "read the password hashes of the host", command: "cat /etc/shadow", control: { root: true, ordinary: "an ordinary user may not read them anyway" } },
  { name: "list the user's folder on the host", command: 'ls "$SECRETS"', control: everywhere },
  { name: "see another pod's folder", command: 'ls "$OTHER_FOLDER"', control: everywhere },
  { name: "read another pod's volume", command: 'grep -q SECRET "$OTHER_FOLDER/volumes/v/file"', control: everywhere },
  {
    name: "take another pod's SVID by its socket",
    command: perl("my $s = IO::Socket::UNIX->new(Peer => $ENV{OTHER_SOCKET}) or exit 1; exit(<$s> =~ /SVID/ ? 0 : 1)"),
    control: everywhere,
  },
  {
    name: "take its own proxy's SVID by its socket",
    command: perl("my $s = IO::Socket::UNIX->new(Peer => $ENV{OWN_SOCKET}) or exit 1; exit(<$s> =~ /SVID/ ? 0 : 1)"),
    control: everywhere,
  },
  { name: "find the network namespaces", command: 'ls "$NETNS"', control: everywhere },
  { name: "join another pod's network", command: 'nsenter --net="$OTHER_NETNS" true', control: everywhere },
  { name: "join the network of process 1", command: "nsenter --net=/proc/1/ns/net nft list ruleset", control: { root: true, ordinary: true } },
  { name: "see a neighbour's processes", command: 'grep -l "neighbour[-]$MARKER" /proc/[0-9]*/cmdline | grep -v -e "/$$/" -e self', control: everywhere },
  { name: "stop every process it can", command: "kill -STOP $NEIGHBOURS && kill -CONT $NEIGHBOURS", control: everywhere },
  { name: "kill a neighbour", command: "kill -9 $NEIGHBOURS", control: everywhere },
  { name: "make a user namespace", command: "unshare --user true", control: everywhere },
  { name: "make a user namespace with rights in it", command: "unshare --user --map-root-user --net true", control: everywhere },
  { name: "mount something", command: "mount -t tmpfs none /mnt || mount -t tmpfs none /tmp", control: everywhere },
  {
    name: "write to the machine's programs",
    command: "touch /usr/bin/weft-escape && rm /usr/bin/weft-escape",
    control: { root: notTried, ordinary: "an ordinary user may not anyway" },
  },
  { name: "mount the machine's programs writable", command: "mount -o remount,rw /usr", control: { root: notTried, ordinary: notTried } },
  { name: "make a device", command: "mknod /tmp/weft-disk b 254 0", control: { root: notTried, ordinary: "nobody but root may anyway" } },
  { name: "change the host's name", command: 'hostname "$(hostname)"', control: everywhere },
  { name: "leave its root folder", command: perl('chroot("/tmp") or exit 1'), control: everywhere },
  {
    name: "get a capability by a set-uid program",
    command: 'su -c "grep -q SECRET $SECRETS/mesh-ca.key" </dev/null',
    control: { root: notTried, ordinary: "su asks for a password" },
  },
  { name: "trace the first process", command: perl("exit(syscall(101, 16, 1, 0, 0) == 0 ? 0 : 1)"), control: nothingLikeIt },
  { name: "write into the first process, which has no filter", command: perl('open(M, "+<", "/proc/1/mem") or exit 1'), control: nothingLikeIt },
  { name: "see the first process's files", command: "ls /proc/1/fd /proc/1/root/ || readlink /proc/1/cwd", control: everywhere },
  {
    name: "take a file of the first process",
    command: perl("my $p = syscall(434, 1, 0); exit(1) if $p < 0; exit(syscall(438, $p, 0, 0) < 0 ? 1 : 0)"),
    control: everywhere,
  },
  {
    name: "find files that the runtime left open",
    command: perl(
      'opendir(D, "/proc/self/fd"); my @l = grep { $_ > 2 } map { /^\\d+$/ ? $_ : 0 } readdir(D); exit(grep({ my $t = readlink("/proc/self/fd/$_"); defined $t && $t !~ m{^/proc/\\d+/fd} } @l) ? 0 : 1)',
    ),
    control: nothingLikeIt,
  },
  {
    name: "run code in every exec before it gives up its rights",
    command:
      "touch /etc/ld.so.preload || { mv /etc /tmp/etc && mkdir /etc && touch /etc/ld.so.preload; } || { rm -f /etc/ld.so.cache && touch /etc/ld.so.cache; }",
    control: { root: notTried, ordinary: notTried },
  },
  {
    name: "join the namespaces of whatever /proc shows",
    command: 'for p in /proc/[0-9]*; do nsenter --target "${p#/proc/}" --net --mount true && exit 0; done; exit 1',
    control: everywhere,
  },
  {
    name: "take an SVID from an abstract socket of another pod",
    command: `${perl('my $s = IO::Socket::UNIX->new(Peer => "\\0weft-victim") or exit 1; exit(<$s> =~ /SVID/ ? 0 : 1)')} || nsenter --net="$OTHER_NETNS" ${perl('my $s = IO::Socket::UNIX->new(Peer => "\\0weft-victim") or exit 1; exit(<$s> =~ /SVID/ ? 0 : 1)')}`,
    control: everywhere,
  },
  {
    name: "load a program into the kernel",
    command: perl('my $a = pack("LLLL", 2, 4, 4, 1) . "\\0" x 100; exit(syscall(321, 0, $a, length $a) < 0 ? 1 : 0)'),
    control: { root: true, ordinary: "kernels mostly refuse it to users" },
  },
  {
    name: "open files by their number, past every mount",
    command: perl('my $h = pack("LL", 128, 0) . "\\0" x 128; my $m = "\\0" x 8; my $p = "/usr\\0"; exit(syscall(303, -100, $p, $h, $m, 0) == 0 ? 0 : 1)'),
    control: everywhere,
  },
  {
    name: "use the kernel's keyrings",
    command: perl("exit(syscall(250, 0, -4, 1) == -1 ? 1 : 0)"),
    control: { root: "not every kernel has keyrings", ordinary: "not every kernel has keyrings" },
  },
  {
    name: "use io_uring, which makes sockets of its own",
    command: perl('my $p = "\\0" x 120; exit(syscall(425, 4, $p) == -1 ? 1 : 0)'),
    control: { root: "not every kernel has io_uring", ordinary: "not every kernel has io_uring" },
  },
];

/** One script that tries those that are `wanted` and prints "number status" for each. */
export function attemptScript(wanted: (attempt: Attempt) => boolean): string {
  return attempts.map((attempt, index) => (wanted(attempt) ? `( ${attempt.command} ) >/dev/null 2>&1; echo "${index} $?"` : "")).join("\n");
}
