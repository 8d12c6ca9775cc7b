/**
 * The network below the mesh in a real cluster, by the tools that people use: packet sizes, tunnels, Services, names,
 * NetworkPolicies and their drops, the CNI plugin called by hand, and an agent that dies. One cluster for all of it.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { withoutKubectl } from "./kubectl.ts";
import { startKubectl, type NamespaceKubectl } from "./network/kubectl.ts";
import { conversation } from "./network/conversation.ts";
import { eventually, startMeshCluster, type MeshCluster } from "./mesh-cluster.ts";

interface PodFacts {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName: string };
  readonly status?: { readonly podIP?: string; readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

const PODS = "/api/v1/namespaces/net/pods";
const folder = join(import.meta.dirname, "network");
const inNet = (name: string): string => `net/${name}`;

if (withoutKubectl !== false) process.stderr.write(`SKIPPED network: ${withoutKubectl}\n`);

describe("the network of a cluster", { timeout: 600_000, skip: withoutKubectl }, () => {
  let cluster: MeshCluster;
  let kubectl: NamespaceKubectl;
  let client: PodFacts;
  let echoes: readonly PodFacts[] = [];

  const podsOf = async (app: string): Promise<readonly PodFacts[]> => {
    const { items } = await cluster.get<{ readonly items: readonly PodFacts[] }>(`${PODS}?labelSelector=app%3D${app}`);
    return items.filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && isReady(status));
  };
  const ready = async (app: string, count: number): Promise<readonly PodFacts[]> => {
    const pods = await eventually(
      () => podsOf(app),
      (found) => found.length === count,
    );
    assert.equal(pods.length, count, `${app}: ${pods.map(({ metadata }) => metadata.name).join(", ")} are ready`);
    return pods;
  };
  const ipOf = ({ status }: PodFacts): string => status?.podIP ?? "";
  const elsewhere = (): PodFacts => {
    const found = echoes.find(({ spec }) => spec.nodeName !== client.spec.nodeName);
    assert.ok(found, "an echo pod on the other node");
    return found;
  };
  const clusterIp = async (service: string): Promise<string> =>
    (await cluster.get<{ readonly spec: { readonly clusterIP: string } }>(`/api/v1/namespaces/net/services/${service}`)).spec.clusterIP;
  /** Standard output of a shell in the client's container. */
  const inClient = (script: string): Promise<string> => kubectl.run("exec", client.metadata.name, "--", "sh", "-c", script);

  before(async () => {
    cluster = await startMeshCluster(`n${process.pid}`, join(folder, "cluster.yaml"));
    kubectl = await startKubectl(cluster, "net");
    await cluster.apply(join(folder, "echo.yaml"));
    echoes = await ready("echo", 4);
    const [first] = await ready("client", 2);
    assert.ok(first);
    client = first;
  });
  after(() => cluster?.stop());

  test("the largest packet of a pod crosses the nodes whole, and one byte more is refused to the sender", async () => {
    const script = join(folder, "datagram-sizes.pl");
    // 1450 is the MTU; IP and UDP take 28.
    const { stdout } = await cluster.enter(inNet(client.metadata.name), "perl", script, ipOf(elsewhere()), "5353", "1421", "1422", "1423");
    assert.match(stdout, /^1421 answered\n1422 answered\n1423 Message too long\n$/);
  });

  test("a large body crosses the nodes", async () => {
    assert.equal(await inClient(`curl -s http://${ipOf(elsewhere())}:8080/big | wc -c`), "8000000\n");
  });

  test("tunnels neither learn nor flood: all that they know is written, for each other node", async () => {
    for (const node of ["node-1", "node-2"]) {
      const { stdout } = await cluster.enter(node, "sh", "-c", "ip -d link show weft-vxlan; bridge fdb show dev weft-vxlan; ip neigh show dev weft-vxlan");
      assert.match(stdout, /vxlan id 42 .*nolearning/);
      assert.match(stdout, /mtu 1450/);
      const entries = stdout.split("\n").filter((line) => /^[0-9a-f:]{17} dst /.test(line));
      assert.equal(entries.length, 1, stdout);
      assert.match(entries[0] ?? "", /^02:.* dst 192\.168\.99\.\d+ self permanent/);
      assert.equal([...stdout.matchAll(/ lladdr 02:.* PERMANENT/g)].length, 1, stdout);
    }
  });

  test("a Service spreads connections evenly over its endpoints, by named ports of TCP and UDP", async () => {
    const names = echoes.map(({ metadata }) => metadata.name);
    const counts = tally(await inClient("for i in $(seq 400); do curl -s http://echo/; done"));
    assert.deepEqual([...counts.keys()].sort(), [...names].sort());
    // 100 each; five standard deviations are 43.
    for (const [name, count] of counts) assert.ok(Math.abs(count - 100) < 50, `${name} has ${count} of 400`);
    const datagrams = tally(await inClient(askEach("udp", "echo", 53, 40)));
    assert.deepEqual([...datagrams.keys()].sort(), [...names].sort());
    const lines = tally(await inClient(askEach("tcp", "echo", 7, 40)));
    assert.deepEqual([...lines.keys()].sort(), [...names].sort());
  });

  describe("names", () => {
    const service = "echo.net.svc.cluster.local";
    const shell: readonly { readonly name: string; readonly script: string; readonly want: () => Promise<RegExp> | RegExp }[] = [
      { name: "of a Service, short", script: "getent hosts echo", want: async () => new RegExp(`^${await clusterIp("echo")} +${service}\n$`) },
      { name: "of a Service, with its namespace", script: "getent hosts echo.net.svc", want: async () => new RegExp(`^${await clusterIp("echo")} `) },
      { name: "of another namespace", script: "getent hosts kubernetes.default", want: () => /^10\.96\.0\.1 / },
      { name: "that lead to another name", script: "getent hosts alias", want: async () => new RegExp(`^${await clusterIp("echo")} `) },
      { name: "of the pod itself", script: "getent hosts $HOSTNAME", want: () => new RegExp(`^${ipOf(client)} `) },
      { name: "by nslookup", script: "nslookup echo", want: async () => new RegExp(`Name:\t${service}\nAddress: ${await clusterIp("echo")}`) },
      { name: "of what is not there", script: "dig nobody.net.svc.cluster.local", want: () => /status: NXDOMAIN[^]*SOA/ },
      { name: "without IPv6", script: `dig AAAA ${service}`, want: () => /status: NOERROR[^]*ANSWER: 0[^]*SOA/ },
      { name: "of an alias, as it is", script: "dig +short CNAME alias.net.svc.cluster.local", want: () => new RegExp(`^${service}.\n$`) },
      { name: "of a port", script: `dig +short SRV _http._tcp.${service}`, want: () => new RegExp(`^0 100 80 ${service}.\n$`) },
      { name: "of an address", script: "dig +short -x 10.96.0.1", want: () => /^kubernetes\.default\.svc\.cluster\.local\.\n$/ },
      { name: "by TCP", script: `dig +tcp +short ${service}`, want: async () => new RegExp(`^${await clusterIp("echo")}\n$`) },
      { name: "of a pod's address", script: "dig +short 10-244-0-77.net.pod.cluster.local", want: () => /^10\.244\.0\.77\n$/ },
    ];
    for (const { name, script, want } of shell) test(name, async () => assert.match(await inClient(script), await want()));

    test("of a headless Service are its pods' addresses", async () => {
      const found = (await inClient("getent ahostsv4 each | cut -d' ' -f1")).trim().split("\n");
      assert.deepEqual([...new Set(found)].sort(), echoes.map(ipOf).sort());
    });

    test("with more addresses than a datagram holds are cut, and come whole by TCP", async () => {
      const addresses = Array.from({ length: 120 }, (_, i) => `10.244.200.${i + 1}`);
      const slice = {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: "many-1", namespace: "net", labels: { "kubernetes.io/service-name": "many" } },
        addressType: "IPv4",
        ports: [{ name: "http", port: 80 }],
        endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
      };
      await cluster.put("/apis/discovery.k8s.io/v1/namespaces/net/endpointslices/many-1", slice);
      const many = "many.net.svc.cluster.local";
      const whole = await eventually(
        async () => (await inClient(`dig +short ${many}`)).trim().split("\n"),
        (found) => found.length === addresses.length,
      );
      assert.equal(new Set(whole).size, addresses.length);
      const cut = await inClient(`dig +ignore ${many}`);
      assert.match(cut, /flags: qr aa tc rd ra/);
      assert.ok(Number(/MSG SIZE {2}rcvd: (\d+)/.exec(cut)?.[1]) <= 1232, cut);
    });

    test("of other people are asked of the machine's resolvers", async () => {
      // Whatever they say: a machine without any answers SERVFAIL.
      const answer = await inClient("dig +time=9 example.org");
      assert.match(answer, /status: (NOERROR|NXDOMAIN|SERVFAIL|REFUSED)/);
      assert.doesNotMatch(answer, /flags: qr aa/);
    });
  });

  test("connections of an endpoint that goes are forgotten, and no other's", async () => {
    const address = await clusterIp("echo");
    await inClient(`${askEach("tcp", "echo", 7, 40)}; ${askEach("udp", "echo", 53, 40)}`);
    const known = async (): Promise<string> => (await cluster.enter(client.spec.nodeName, "conntrack", "-L", "-d", address)).stdout;
    const [gone] = echoes;
    assert.ok(gone);
    const answeredBy = (pod: PodFacts): RegExp => new RegExp(`src=${ipOf(pod).replaceAll(".", "\\.")} dst=`);
    assert.match(await known(), answeredBy(gone));
    await kubectl.run("delete", "pod", gone.metadata.name);
    const left = await eventually(known, (text) => !answeredBy(gone).test(text));
    assert.doesNotMatch(left, answeredBy(gone));
    for (const other of echoes.slice(1)) assert.match(left, answeredBy(other));
    echoes = await ready("echo", 4);
  });

  test("a NetworkPolicy cuts off whom it does not allow, open connections too, and each drop names it", async () => {
    const [, other] = await ready("client", 2);
    assert.ok(other);
    await kubectl.run("label", "pod", other.metadata.name, "may=enter");
    const target = elsewhere();
    const stranger = await conversation(cluster, inNet(client.metadata.name), ipOf(target), 7000);
    const guest = await conversation(cluster, inNet(other.metadata.name), ipOf(target), 7000);
    try {
      assert.ok((await stranger.answers("one")) && (await guest.answers("one")));
      await cluster.apply(join(folder, "policy.yaml"));
      // In force when a new connection fails.
      await eventually(
        async () => (await cluster.enter(inNet(client.metadata.name), "curl", "-s", "-m", "2", `http://${ipOf(target)}:8080/`)).code,
        (code) => code === 28,
      );
      assert.equal(await stranger.answers("two", 3000), false);
      assert.equal(await guest.answers("two"), true);
      const { stdout } = await cluster.weft("flows", "--verdict", "dropped", "-o", "json");
      const drops = JSON.parse(stdout) as readonly {
        readonly source: { readonly pod?: string };
        readonly destination: { readonly pod?: string; readonly port?: number };
        readonly policies: readonly string[];
        readonly direction: string;
      }[];
      const drop = drops.find(
        ({ source, destination }) => source.pod === inNet(client.metadata.name) && destination.pod === inNet(target.metadata.name) && destination.port === 8080,
      );
      assert.deepEqual(drop?.policies, ["NetworkPolicy net/guests-only"]);
      assert.equal(drop.direction, "ingress");
      const table = (await cluster.weft("flows", "--verdict", "dropped")).stdout;
      assert.match(table, new RegExp(`${inNet(client.metadata.name)}.*${inNet(target.metadata.name)}.*NetworkPolicy net/guests-only`));
    } finally {
      stranger.stop();
      guest.stop();
      await cluster.remove(join(folder, "policy.yaml"));
    }
  });

  test("the CNI plugin does what the specification asks, called by hand", async () => {
    const byHand = await eventually(
      () => cluster.get<PodFacts>(`${PODS}/by-hand`),
      ({ spec }) => spec.nodeName !== undefined,
    );
    const node = byHand.spec.nodeName;
    // A namespace that lives as long as a process in it, by its pid in the cluster.
    const holder = (await cluster.enter(node, "sh", "-c", "setsid unshare --net sleep 600 >/dev/null 2>&1 & echo $!")).stdout.trim();
    const netns = `/proc/${holder}/ns/net`;
    const cni = async (
      command: string,
      more: object = {},
    ): Promise<{ readonly code: number; readonly answer: Readonly<Record<string, unknown>> | undefined }> => {
      const config = JSON.stringify({ cniVersion: "1.1.0", name: "weft", type: "weft-cni", socket: `/run/weft/nodes/${node}/cni.sock`, ...more });
      const env = [
        `CNI_COMMAND=${command}`,
        `CNI_CONTAINERID=${byHand.metadata.uid}`,
        `CNI_NETNS=${netns}`,
        "CNI_IFNAME=eth0",
        "CNI_PATH=/opt/cni/bin",
        `CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=net;K8S_POD_NAME=by-hand;K8S_POD_UID=${byHand.metadata.uid}`,
      ];
      const plugin = join(cluster.user.checkout, "src/bin/cni.ts");
      const { code, stdout } = await cluster.enter(
        node,
        "sh",
        "-c",
        'config=$1; shift; printf %s "$config" | env "$@"',
        "cni",
        config,
        ...env,
        process.execPath,
        plugin,
      );
      return { code, answer: stdout.trim() === "" ? undefined : (JSON.parse(stdout) as Record<string, unknown>) };
    };
    await eventually(
      () => cluster.enter(node, "sh", "-c", `test $(readlink ${netns}) != $(readlink /proc/self/ns/net)`),
      ({ code }) => code === 0,
    );
    try {
      assert.deepEqual((await cni("VERSION")).answer, { cniVersion: "1.1.0", supportedVersions: ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] });
      assert.deepEqual(await cni("STATUS"), { code: 0, answer: undefined });
      assert.equal((await cni("CHECK")).answer?.["code"], 3, "nothing was added yet");
      const added = await cni("ADD");
      assert.equal(added.code, 0, JSON.stringify(added.answer));
      const { cniVersion, interfaces, ips, routes, dns } = added.answer as {
        cniVersion: string;
        interfaces: { name: string; sandbox?: string }[];
        ips: { address: string; gateway: string; interface: number }[];
        routes: object[];
        dns: { nameservers: string[] };
      };
      const ip = ips[0]?.address.replace("/32", "") ?? "";
      assert.equal(cniVersion, "1.1.0");
      assert.deepEqual(interfaces[ips[0]?.interface ?? 0], { ...interfaces[1], name: "eth0", sandbox: netns });
      assert.deepEqual(routes, [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }]);
      assert.deepEqual(dns.nameservers, ["10.96.0.10"]);
      const again = await cni("ADD");
      assert.deepEqual(again.answer?.["ips"], added.answer?.["ips"], "the same container keeps its address");
      assert.deepEqual(await cni("CHECK", { prevResult: added.answer }), { code: 0, answer: undefined });
      const target = echoes.find(({ spec }) => spec.nodeName !== node) ?? client;
      const inside = await cluster.enter(
        node,
        "nsenter",
        `--net=${netns}`,
        "sh",
        "-c",
        `ip -4 -o address show eth0; curl -s -m 10 http://${ipOf(target)}:8080/`,
      );
      assert.match(inside.stdout, new RegExp(`inet ${ip}/32[^]*\n${target.metadata.name}\n$`));
      assert.equal((await cni("ADD", { cniVersion: "9.9.9" })).answer?.["code"], 1, "a version of the future");
      for (const time of ["first", "second"]) assert.deepEqual(await cni("DEL"), { code: 0, answer: undefined }, `${time} DEL`);
      assert.doesNotMatch((await cluster.enter(node, "ip", "route")).stdout, new RegExp(`^${ip} `, "m"));
      assert.equal((await cni("CHECK")).answer?.["code"], 3);
    } finally {
      await cluster.enter(node, "kill", holder);
    }
  });

  test("when an agent dies no connection notices, names are answered again soon, and pods get networks", async () => {
    const node = client.spec.nodeName;
    const talk = await conversation(cluster, inNet(client.metadata.name), ipOf(elsewhere()), 7000);
    try {
      assert.ok(await talk.answers("before"));
      const killed = await cluster.enter(
        node,
        "sh",
        "-c",
        `kill -9 $(grep -lz -- '^${node}$' /proc/[0-9]*/cmdline | while read f; do grep -qz 'agent\\.[mt][js]s*$' $f && basename $(dirname $f); done)`,
      );
      assert.equal(killed.code, 0, killed.stderr);
      assert.ok(await talk.answers("while it is away"));
      await eventually(
        () => cluster.enter(inNet(client.metadata.name), "dig", "+time=1", "+tries=1", "@10.96.0.10", "echo.net.svc.cluster.local"),
        ({ stdout }) => /status: NOERROR/.test(stdout),
      );
      await kubectl.run("delete", "pod", client.metadata.name, "--wait=false");
      assert.equal((await ready("client", 2)).length, 2);
      assert.ok(await inAnyClient("curl -s -m 10 http://echo/"));
    } finally {
      talk.stop();
    }
  });

  async function inAnyClient(script: string): Promise<string> {
    const [any] = await podsOf("client");
    return kubectl.run("exec", any?.metadata.name ?? "", "--", "sh", "-c", script);
  }
});

function isReady(status: PodFacts["status"]): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") === true;
}

/** One line for each of `count` questions: the name that the answer begins with. */
function askEach(protocol: "tcp" | "udp", host: string, port: number, count: number): string {
  const script =
    "my ($p, $h, $port, $n) = @ARGV; for (1 .. $n) { my $s = IO::Socket::INET->new(Proto => $p, PeerAddr => $h, PeerPort => $port, Timeout => 10) or next; " +
    'print $s "x" if $p eq "udp"; $SIG{ALRM} = sub { die }; alarm 10; sysread($s, my $b, 200); $b =~ s/\\n.*//s; print "$b\\n" }';
  return `perl -MIO::Socket::INET -e '${script}' ${protocol} ${host} ${port} ${count}`;
}

function tally(text: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const line of text.split("\n")) if (line !== "") counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}
