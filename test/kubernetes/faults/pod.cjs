/*
 * What runs in the pods of this folder's world. CommonJS and one file, because it comes as a ConfigMap. Its arguments are a role
 * and what that needs:
 *   serve                 gives back on TCP 7000 what it hears, and answers HTTP on 8080
 *   ask HOST...           keeps a connection to port 7000 of each, with a word and its echo each 100 ms; asks 8080 as often;
 *                         and looks all the time whether Service "news" of the first one's namespace is there
 *   visit ADDRESS...      asks port 80 of each, by a connection that is kept and by a new one each time
 *   intrude HOST...       tries a new connection to port 7000 of each, again and again; itself it serves as well
 *   scan FIRST COUNT...   tries port 7100 of COUNT addresses from FIRST on, again and again
 *   newborn NAME HOST...  gives back on TCP 7100 what it hears; from its first moment on tries port 7000 of each, with words in
 *                         which its name stands: "NAME to HOST "
 *   unborn NAME HOST...   the same for some seconds
 * Each second it says in a line of JSON what came of it so far.
 */
const { lookup } = require("node:dns");
const http = require("node:http");
const net = require("node:net");

const [role, ...words] = process.argv.slice(2);
const TICK_MS = 100;
/** Longer than an answer takes on a busy machine. */
const ATTEMPT_MS = 3000;
/** Long enough to be knocked at, and to say so. */
const UNBORN_MS = 5500;
/** An answer that takes longer has failed. */
const ANSWER_MS = 8000;

const state = { startedAt: new Date().toISOString(), streams: {}, http: {}, attempts: {}, arrived: 0, news: { since: "", failure: "" } };
let said = 0;
setInterval(() => {
  for (const stream of Object.values(state.streams)) {
    stream.quietMs = Math.max(stream.longestMs, stream.silentMs);
    stream.longestMs = 0;
  }
  process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), said: (said += 1), ...state })}\n`);
}, 1000);

function echo(port) {
  const server = net.createServer((socket) => {
    state.arrived += 1;
    socket.on("error", () => undefined).pipe(socket);
  });
  server.listen(port, "0.0.0.0");
}

function keepStream(host) {
  const stream = (state.streams[host] ??= { opened: 0, echoes: 0, silentMs: 0, longestMs: 0, quietMs: 0, ended: "" });
  const socket = net.connect({ host, port: 7000, noDelay: true });
  // Silence is counted in ticks: those of a process that gets no processor time are no silence of the other side.
  const timer = setInterval(() => {
    socket.write("still here\n");
    stream.silentMs += TICK_MS;
    stream.longestMs = Math.max(stream.longestMs, stream.silentMs);
  }, TICK_MS);
  socket.on("connect", () => (stream.opened += 1));
  socket.on("data", () => {
    stream.silentMs = 0;
    stream.echoes += 1;
  });
  socket.on("error", (error) => (stream.ended = `${new Date().toISOString()} ${error.message}`));
  socket.on("close", (hadError) => {
    if (!hadError) stream.ended = `${new Date().toISOString()} closed by the other side`;
    clearInterval(timer);
    setTimeout(keepStream, 500, host);
  });
}

function askAgain({ host, port = 8080, keepAlive = true, name = host }) {
  const asked = (state.http[name] ??= { answered: 0, failed: 0, failure: "", answeredAt: "" });
  const agent = new http.Agent({ keepAlive, maxSockets: 1 });
  const fail = (what) => {
    asked.failed += 1;
    asked.failure = `${new Date().toISOString()} ${what}`;
  };
  const next = () => setTimeout(ask, TICK_MS);
  const ask = () => {
    const request = http.get({ host, port, path: "/", agent, timeout: ANSWER_MS }, (answer) => {
      answer.resume().on("end", () => {
        if (answer.statusCode === 200) {
          asked.answered += 1;
          asked.answeredAt = new Date().toISOString();
        } else fail(`status ${answer.statusCode}`);
        next();
      });
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
    request.on("error", (error) => {
      fail(error.message);
      next();
    });
  };
  ask();
}

function hear(domain) {
  const next = () => setTimeout(ask, 250);
  const lost = (why) => {
    state.news = { since: "", failure: why };
    next();
  };
  const ask = () => {
    const request = http.get({ host: `news.${domain}`, port: 8080, path: "/", agent: false, timeout: ATTEMPT_MS }, (answer) => {
      answer.resume().on("end", () => {
        if (answer.statusCode !== 200) return lost(`status ${answer.statusCode}`);
        state.news = { since: state.news.since || new Date().toISOString(), failure: "" };
        next();
      });
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${ATTEMPT_MS} ms`)));
    request.on("error", (error) => lost(error.message));
  };
  ask();
}

/** Where names lead, not older than some seconds: a query for each try would be most of the work here. */
const addresses = new Map();

function lookupSometimes(host, options, done) {
  const known = addresses.get(host);
  if (known !== undefined && Date.now() - known.at < 3000) return process.nextTick(done, null, ...known.answer);
  lookup(host, options, (error, ...answer) => {
    if (error === null) addresses.set(host, { at: Date.now(), answer });
    done(error, ...answer);
  });
}

/** One try to get an echo; what came of it is counted by its kind. */
function attempt({ host, port, name = "knock" }) {
  const count = (state.attempts[host] ??= { tried: 0, connected: 0, echoed: 0, last: "" });
  count.tried += 1;
  const token = `${name} to ${host} ${Math.random()}\n`;
  let heard = "";
  const socket = net.connect({ host, port, noDelay: true, family: 4, lookup: lookupSometimes });
  const timer = setTimeout(() => socket.destroy(new Error("silence")), ATTEMPT_MS);
  socket.on("connect", () => {
    count.connected += 1;
    count.connectedAt = new Date().toISOString();
    socket.write(token);
  });
  socket.on("data", (bytes) => {
    heard += bytes;
    if (heard !== token) return;
    count.echoed += 1;
    count.echoedAt = new Date().toISOString();
    socket.destroy();
  });
  socket.on("error", (error) => (count.last = error.message));
  socket.on("close", () => clearTimeout(timer));
}

/** Without waiting for what becomes of the try before: a way that is open for a moment is found. */
function knock(target, everyMs) {
  attempt(target);
  return setInterval(attempt, everyMs, target);
}

function scan(first, count) {
  const [a, b, c, d] = first.split(".").map(Number);
  for (let i = 0; i < count; i += 1) setTimeout(knock, i, { host: `${a}.${b}.${c}.${d + i}`, port: 7100 }, 200);
}

const ROLES = {
  serve() {
    echo(7000);
    const server = http.createServer((_request, response) => response.end("here\n"));
    // Longer than a busy machine keeps a client from asking again: else the server ends connections by right.
    server.keepAliveTimeout = 120_000;
    server.listen(8080, "0.0.0.0");
  },
  ask() {
    for (const host of words) {
      keepStream(host);
      askAgain({ host });
    }
    hear(words[0].split(".").slice(1).join("."));
  },
  visit() {
    for (const host of words) for (const keepAlive of [true, false]) askAgain({ host, port: 80, keepAlive, name: `${keepAlive ? "kept" : "new"} to ${host}` });
  },
  intrude() {
    echo(7000);
    for (const host of words) knock({ host, port: 7000 }, 500);
  },
  scan() {
    for (let i = 0; i < words.length; i += 2) scan(words[i], Number(words[i + 1]));
  },
  newborn() {
    echo(7100);
    const [name, ...hosts] = words;
    for (const host of hosts) {
      // Who must ask for an address first is slower anyway.
      const hurry = knock({ host, port: 7000, name }, net.isIP(host) === 0 ? 200 : 25);
      setTimeout(() => {
        clearInterval(hurry);
        knock({ host, port: 7000, name }, 1000);
      }, 1000);
    }
  },
  unborn() {
    ROLES.newborn();
    setTimeout(() => process.exit(), UNBORN_MS);
  },
};

const start = ROLES[role];
if (start === undefined) throw new Error(`no role "${role}": there are ${Object.keys(ROLES).join(", ")}`);
start();
