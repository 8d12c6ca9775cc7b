/**
 * What a pod of a real cluster may try against the mesh, the node and the control plane. Each is a shell command that ends
 * with status 0 exactly when it got what it wanted; the variables are set by the test. `control` is the same, by somebody
 * who may, and must succeed: so an attempt that could never work does not pass for safety.
 */
export interface ClusterAttempt {
  readonly name: string;
  readonly command: string;
  readonly control: Control;
}

export type Control =
  /** With the cluster's rights, in the network of a place. */
  | { readonly in: "node" | "attacker"; readonly command?: string }
  /** In another pod. */
  | { readonly pod: "mesh/treasurer" | "beside/visitor"; readonly command?: string };

/** An HTTP request over a socket S that `prepare` did something to; the answer's body must have the word. */
function request(prepare: string, { address, port, word }: { readonly address: string; readonly port: string; readonly word: string }): string {
  const script =
    `$SIG{ALRM} = sub { exit 1 }; alarm 15; socket(S, AF_INET, SOCK_STREAM, 6) or exit 1; ${prepare}; connect(S, pack_sockaddr_in(${port}, inet_aton(${address}))) or exit 1; ` +
    `syswrite S, "GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"; my $a = ""; $a .= $_ while <S>; exit($a =~ /${word}/ ? 0 : 1)`;
  return `perl -MSocket -e '${script}'`;
}
const direct = (prepare: string): string => request(prepare, { address: "$ENV{SERVER}", port: "80", word: "DIRECT" });
const setMark = 'setsockopt(S, 1, 36, pack("i", 0x539))';
const connectTo = (path: string): string => `perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, pack_sockaddr_un($ENV{${path}})) or exit 1'`;
const without = 'curl -sk -m 15 -o /dev/null -w "%{http_code}"';

const controlMethods = {
  CreateCertificate: "istio.v1.auth.IstioCertificateService/CreateCertificate",
  DeltaAggregatedResources: "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
} as const;

/** With an empty message (five bytes of zero): whoever is not turned away at the door (7: permission denied, 16: unauthenticated) hears what is wrong with it. */
function callControl(method: keyof typeof controlMethods, certificate: string): string {
  const headers = '-H "content-type: application/grpc" -H "te: trailers" -H "weft-pod: $VICTIM_NAME"';
  const call = `printf "\\0\\0\\0\\0\\0" | curl -sk -m 15 --http2 ${certificate} -D - -o /dev/null -X POST ${headers} --data-binary @- https://192.168.99.1:15012/${controlMethods[method]}`;
  return `{ h=$(${call}); echo "$h" | grep -qi "^HTTP/2 200" && { echo "$h" | grep -q "^grpc-message: csr" || ! echo "$h" | grep -qiE "^grpc-status: (7|16)"; }; }`;
}

export const clusterAttempts: readonly ClusterAttempt[] = [
  { name: "ask past its proxy", command: direct("1"), control: { pod: "beside/visitor" } },
  { name: "ask past its proxy with the proxy's mark", command: direct(setMark), control: { in: "attacker" } },
  { name: "ask past its proxy on its link", command: direct('setsockopt(S, 1, 25, "eth0\\0")'), control: { pod: "beside/visitor" } },
  {
    name: "ask past its proxy from the proxy's own address",
    command: direct('bind(S, pack_sockaddr_in(0, inet_aton("127.0.0.6")))'),
    control: { pod: "beside/visitor", command: direct("1") },
  },
  {
    name: "ask past its proxy after stopping it",
    command: `curl -s -m 15 -X POST http://127.0.0.1:15000/quitquitquit >/dev/null; for i in 1 2 3 4 5 6; do ${direct("1")} && exit 0; sleep 0.2; done; exit 1`,
    control: { pod: "beside/visitor", command: direct("1") },
  },
  { name: "take the victim's SVID by its socket", command: connectTo("VICTIM_SOCKET"), control: { in: "node" } },
  { name: "take its own SVID by its own proxy's socket", command: connectTo("OWN_SOCKET"), control: { in: "node" } },
  {
    name: "find any socket of anybody",
    command: 'test -n "$(find / -xdev -type s 2>/dev/null; find /run /tmp /var -type s 2>/dev/null)"',
    control: { in: "node" },
  },
  { name: "find an abstract socket", command: "grep -q ' @' /proc/net/unix", control: { in: "node", command: "true" } },
  {
    name: "read the proxy's private key from its admin interface",
    command:
      'for p in config_dump "config_dump?include_eds" certs; do curl -s -m 15 "http://127.0.0.1:15000/$p"; done | grep -q -e "PRIVATE KEY" -e "LS0tLS1CRUdJTiBQUklWQVRF" -e "LS0tLS1CRUdJTiBFQyBQUklWQVRF"',
    control: { in: "attacker", command: "curl -s -m 15 http://127.0.0.1:15000/config_dump | grep -q private_key" },
  },
  { name: "read the mesh CA's key", command: 'cat "$STATE/pki/mesh-ca.key"', control: { in: "node" } },
  { name: "read the node's key", command: 'cat "/run/weft/pki/$NODE/tls.key"', control: { in: "node" } },
  { name: "find the cluster's folders", command: 'ls "$STATE" || ls /run/weft || ls /run/netns', control: { in: "node" } },
  { name: "find the victim's secret in a file", command: "grep -rqs GOLD-IN /run /tmp /var /root /home /mnt /srv", control: { in: "node" } },
  {
    name: "ask the victim as somebody else than the treasurer",
    command: "curl -sf -m 15 http://victim.mesh/ | grep -q GOLD",
    control: { pod: "mesh/treasurer" },
  },
  {
    name: "ask the victim with the treasurer's name in a header",
    command: 'curl -sf -m 15 -H "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/mesh/sa/treasurer" http://victim.mesh/ | grep -q GOLD',
    control: { pod: "mesh/treasurer" },
  },
  {
    name: "ask the victim in plain text",
    command: request(setMark, { address: "$ENV{VICTIM}", port: "8080", word: "GOLD" }),
    control: { pod: "mesh/treasurer", command: "curl -sf -m 15 http://victim.mesh/ | grep -q GOLD" },
  },
  {
    name: "hand the victim's proxy traffic as if it were intercepted",
    command: `for p in 15006 15001; do ${request("1", { address: "$ENV{VICTIM}", port: "$ENV{P}", word: "GOLD" }).replace("perl", "P=$p perl")} && exit 0; done; exit 1`,
    control: { pod: "mesh/treasurer", command: "curl -sf -m 15 http://victim.mesh/ | grep -q GOLD" },
  },
  {
    name: "read the victim's proxy's admin interface",
    command: 'curl -sf -m 15 "http://$VICTIM:15000/config_dump" | grep -q configs',
    control: { in: "attacker", command: "curl -sf -m 15 http://127.0.0.1:15000/config_dump | grep -q configs" },
  },
  ...(["/api/v1/secrets", "/api/v1/namespaces/mesh/pods", "/apis"] as const).map((path): ClusterAttempt => ({
    name: `read ${path} of the API with no certificate`,
    command: `for a in 192.168.99.1:6443 10.96.0.1:443; do test "$(${without} https://$a${path})" = 200 && exit 0; done; exit 1`,
    control: {
      in: "node",
      command: `test "$(${without} --cert /run/weft/pki/control/tls.crt --key /run/weft/pki/control/tls.key https://192.168.99.1:6443${path})" = 200`,
    },
  })),
  ...(["/metrics", "/containerLogs/mesh/victim/app", "/exec/mesh/victim/app?command=id", "/runningpods/"] as const).map((path): ClusterAttempt => ({
    name: `use ${path} of the pod runtime with no certificate`,
    command: `test "$(${without} "https://$NODE_ADDRESS:10250${path}")" = 200`,
    control: {
      in: "node",
      command: `test "$(${without} --cert /run/weft/pki/control/tls.crt --key /run/weft/pki/control/tls.key https://$NODE_ADDRESS:10250/metrics)" = 200`,
    },
  })),
  ...(["/flows", "/metrics"] as const).map((path): ClusterAttempt => ({
    name: `read ${path} of the agent with no certificate`,
    command: `test "$(${without} https://$NODE_ADDRESS:10252${path})" = 200`,
    control: {
      in: "node",
      command: `test "$(${without} --cert /run/weft/pki/control/tls.crt --key /run/weft/pki/control/tls.key https://$NODE_ADDRESS:10252${path})" = 200`,
    },
  })),
  {
    name: "ask the CA and the xDS server with no certificate, naming the victim",
    command: `${callControl("CreateCertificate", "")} || ${callControl("DeltaAggregatedResources", "")}`,
    control: { in: "node", command: callControl("CreateCertificate", "--cert /run/weft/pki/$VICTIM_NODE/tls.crt --key /run/weft/pki/$VICTIM_NODE/tls.key") },
  },
  { name: "speak to the CNI socket", command: connectTo("CNI_SOCKET"), control: { in: "node" } },
];

/** Prints "number status" for each. */
export function scriptOf(commands: readonly (string | undefined)[]): string {
  return commands.map((command, index) => (command === undefined ? "" : `( ${command} ) >/dev/null 2>&1; echo "${index} $?"`)).join("\n");
}
