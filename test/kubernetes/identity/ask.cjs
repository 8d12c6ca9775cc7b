/*
 * Run inside pods, by whatever Node is there: asks for a certificate, and prints in one line what it got: the names in the
 * certificate, or how it was refused. CommonJS, because it comes as `node -e`. Its argument is JSON:
 *   {"uid": N}                        become that user first
 *   {"socket": "@weft/xds", "as": ID} the agent's socket of this network namespace, claiming to be ID
 *   {"process": "sidecar.mjs"}        read the memory of the processes with that in their command line
 *   {"control": "IP:PORT", "ca": PEM, "token": FILE, "pod": "NAMESPACE/NAME/UID", "csr": PEM}   the control plane's CA
 */
const { X509Certificate } = require("node:crypto");
const { closeSync, openSync, readdirSync, readFileSync } = require("node:fs");
const http2 = require("node:http2");
const net = require("node:net");

const asked = JSON.parse(process.argv[1] ?? "{}");
const PATIENCE_MS = 15_000;

function say(line) {
  process.stdout.write(`${line}\n`);
  process.exit(0);
}

function varint(value) {
  const bytes = [];
  for (; value > 127; value >>= 7) bytes.push((value & 127) | 128);
  return Buffer.from([...bytes, value]);
}

/** A field of protobuf that is a string or a message. */
function field(number, content) {
  const bytes = Buffer.from(content);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function framed(message) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

function ask(session, path, headers, message) {
  session.on("error", (error) => say(`refused: ${error.code ?? error.message}`));
  session.on("close", () => say("refused: the connection was closed"));
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers });
  let received = "";
  const look = () => {
    const pem = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/.exec(received)?.[0];
    if (pem !== undefined) say(`certificate of ${new X509Certificate(pem).subjectAltName}`);
  };
  const status = (answer) => {
    if (answer["grpc-status"] !== undefined && answer["grpc-status"] !== "0")
      say(`refused: gRPC status ${answer["grpc-status"]}: ${decodeURIComponent(answer["grpc-message"] ?? "")}`);
  };
  stream.on("response", status);
  stream.on("trailers", status);
  stream.on("data", (bytes) => {
    received += bytes.toString("latin1");
    look();
  });
  stream.on("error", (error) => say(`refused: ${error.code ?? error.message}`));
  stream.write(framed(message));
}

function readMemory(word) {
  const found = readdirSync("/proc").filter((pid) => /^[0-9]+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(word));
  const own = found.filter((pid) => Number(pid) !== process.pid);
  if (own.length === 0) say("there is no such process");
  for (const pid of own) {
    try {
      closeSync(openSync(`/proc/${pid}/mem`, "r"));
    } catch {
      continue;
    }
    say(`the memory of process ${pid}`);
  }
  say(`refused: ${own.length} processes`);
}

setTimeout(() => say("refused: no answer"), PATIENCE_MS);
try {
  if (asked.uid !== undefined) process.setuid(asked.uid);
} catch (error) {
  say(`refused: cannot become uid ${asked.uid}: ${error.code}`);
}
if (asked.process !== undefined) readMemory(asked.process);
else if (asked.socket !== undefined) {
  const socket = net.connect({ path: asked.socket.replace(/^@/, "\0") });
  socket.on("error", (error) => say(`refused: ${error.code}`));
  socket.on("connect", () => {
    const names = ["default", ...(asked.as === undefined ? [] : [asked.as])];
    const node = asked.as === undefined ? [] : [field(1, field(1, asked.as))];
    const request = Buffer.concat([...node, field(2, SECRET), ...names.map((name) => field(3, name))]);
    ask(http2.connect("http://weft", { createConnection: () => socket }), "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets", {}, request);
  });
} else {
  const session = http2.connect(`https://${asked.control}`, { ca: asked.ca, servername: "weft-control.weft-system.svc" });
  const token = readFileSync(asked.token, "utf8").trim();
  ask(session, "/istio.v1.auth.IstioCertificateService/CreateCertificate", { authorization: `Bearer ${token}`, "weft-pod": asked.pod }, field(1, asked.csr));
}
