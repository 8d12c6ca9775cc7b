/**
 * One request from its head to its log line. It is the RequestHandler of the downstream stream, and what filters, routes
 * and log formats look at. Filters run in order; the last step is the router: answer here, or try endpoints of a cluster.
 * No promises, no host timers: deadlines are entries of the timer wheel.
 */
import type { HeaderBlock } from "#wire/http/header-block.ts";
import { CONTENT_LENGTH, DATE, HOST, SERVER } from "#wire/http/names.ts";
import type { RequestHandler, ResponseHead, StreamFailure } from "#wire/http/stream.ts";
import { backOffMs, type Outcome } from "#decide/retry/retry.ts";
import { WheelEntry } from "#proxy/timer-wheel.ts";
import type { ConnectFailure, EndpointCluster } from "#proxy/upstream/endpoint.ts";
import { ExchangeRecord } from "./exchange-record.ts";
import { FLAG } from "./flags.ts";
import { KeptBody } from "./kept-body.ts";
import { ATTEMPT_COUNT, EXPECTED_TIMEOUT, FORWARDED_HOST, ORIGINAL_HOST, ORIGINAL_PATH, REQUEST_ID, SERVICE_TIME } from "./names.ts";
import {
  denied,
  endedBeforeAnswer,
  faultAborted,
  noCluster,
  noHealthyUpstream,
  noRoute,
  notAnsweredInTime,
  notConnected,
  overflow,
  type OwnAnswer,
  PATH_NOT_RELATIVE,
  PATH_REFUSED,
  headersOf,
  timeLeftMs,
  UPGRADE_REFUSED,
} from "./own-answers.ts";
import { enforce } from "./rbac-filter.ts";
import { prepareRequest } from "./request-headers.ts";
import type { Forward, RouteRuntime } from "./route-runtime.ts";
import { type AttemptOwner, UpstreamAttempt } from "./upstream-attempt.ts";

export class Exchange extends ExchangeRecord implements RequestHandler, AttemptOwner {
  #forward: Forward | undefined = undefined;
  #clusterIndex = 0;
  readonly #kept = new KeptBody();
  #responding = false;
  #done = false;
  #isCutOff = false;
  #delayed = false;
  #pausedForMemory = false;
  #later: WheelEntry | undefined;

  get done(): boolean {
    return this.#done;
  }

  /** From the head to the router's first step. */
  start(): void {
    const { manager, head, machine } = this;
    manager.stats.rqTotal.value++;
    manager.stats.rqHttp1Total.value++;
    manager.stats.rqActive.value++;
    if (head.expectsContinue && !manager.proxy100Continue) {
      this.stream.sendContinue();
      manager.stats.interim();
    }
    const prepared = prepareRequest(head, manager, this.downstream, machine.requestIds);
    this.remote = prepared.remote;
    if (prepared.isRefused) {
      manager.stats.rqFailedPathNormalization.value++;
      return this.reply(PATH_REFUSED);
    }
    if (!head.path.startsWith("/") && head.method !== "CONNECT") {
      manager.stats.rqNonRelativePath.value++;
      return this.reply(PATH_NOT_RELATIVE);
    }
    const routes = manager.routes.current;
    const index = routes === undefined ? -1 : routes.table.match(this, machine.random.next());
    this.route = routes?.routes[index];
    if (head.upgrade !== undefined && !this.allowsUpgrade(head.upgrade)) {
      this.stream.closeAfter();
      manager.stats.rqUpgradeRefused.value++;
      return this.reply(UPGRADE_REFUSED);
    }
    this.#runFilters(0);
  }

  #runFilters(from: number): void {
    const { filters } = this.manager;
    for (let i = from; i < filters.length; i++) {
      const filter = filters[i];
      if (filter === undefined) continue;
      if (filter.kind === "rbac") {
        const own = this.route?.rbac;
        if (own === "off") continue;
        const denial = enforce(own ?? filter.filter, filter.stats, this.downstream, this);
        if (denial !== undefined) return this.reply(denied(denial));
      } else {
        const { applies, delayMs, delayShare, abortShare, abortStatus } = filter.filter;
        if (applies !== undefined && !applies(this)) continue;
        const delays = !this.#delayed && delayShare > 0 && this.machine.random.next() < delayShare;
        if (delays) {
          this.#delayed = true;
          this.flags = FLAG.delayInjected;
          this.#later = new WheelEntry(() => this.#runFilters(i));
          this.machine.wheel.set(this.#later, delayMs);
          return;
        }
        this.#delayed = false;
        if (abortShare > 0 && this.machine.random.next() < abortShare) return this.reply(faultAborted(abortStatus));
      }
    }
    this.#route();
  }

  #route(): void {
    const { route, manager } = this;
    manager.stats.routed.value++;
    if (route === undefined) {
      manager.stats.noRoute.value++;
      return this.reply(noRoute(manager.routes.name, `${this.authority}${this.path}`));
    }
    const { act } = route;
    if (act.kind === "redirect") {
      manager.stats.directResponses.value++;
      const { status, location } = act.to(this);
      return this.reply({ status, body: "", details: "direct_response", location });
    }
    if (act.kind === "direct") {
      manager.stats.directResponses.value++;
      return this.reply({ status: act.status, body: act.body, details: "direct_response", why: route.entry.by });
    }
    this.#forward = act;
    this.#sendTo(act, route);
  }

  #sendTo(forward: Forward, route: RouteRuntime): void {
    const { head, machine, manager } = this;
    this.#clusterIndex = forward.clusters.choose(machine.random.next());
    const name = forward.clusters.shares[this.#clusterIndex]?.cluster ?? forward.clusters.named(this) ?? "";
    const cluster = machine.clusters.get(name);
    if (cluster === undefined) {
      manager.stats.noCluster.value++;
      return this.reply(noCluster(forward.clusterNotFoundStatus, name, route.entry));
    }
    this.cluster = cluster;
    const { headers } = head;
    forward.clusterRequestMutations[this.#clusterIndex]?.(headers, this);
    route.requestMutation?.(headers, this);
    const newPath = forward.rewritePath?.(this);
    const newHost = forward.rewriteHost?.(this);
    if (newPath !== undefined) {
      if (!manager.suppressEnvoyHeaders) headers.set(ORIGINAL_PATH, head.path);
      head.path = newPath;
    }
    if (newHost !== undefined) this.rewriteHost(newHost);
    this.#kept.forRetry = forward.retry !== undefined && head.upgrade === undefined;
    this.#try();
  }

  rewriteHost(host: string): void {
    const { head } = this;
    if (this.#forward?.appendForwardedHost === true) head.headers.set(FORWARDED_HOST, head.authority);
    if (!this.manager.suppressEnvoyHeaders && head.authority !== host) head.headers.set(ORIGINAL_HOST, head.authority);
    head.headers.set(HOST, host);
    head.authority = host;
  }

  #try(): void {
    const cluster = this.cluster;
    if (cluster === undefined || this.#done) return;
    const endpoint = cluster.choose(this.downstream.target);
    this.attempts++;
    if (endpoint === undefined) {
      cluster.stats.cxNoneHealthy.value++;
      cluster.stats.response(503);
      return this.reply(noHealthyUpstream(cluster.settings));
    }
    if (cluster.stats.rqActive.value >= cluster.breakers.maxRequests) {
      cluster.stats.rqPendingOverflow.value++;
      return this.#overflow(`circuit breaker of cluster ${cluster.name}: ${cluster.breakers.maxRequests} requests are under way`);
    }
    if (this.#forward?.autoHostRewrite === true && endpoint.settings.hostname !== "") this.rewriteHost(endpoint.settings.hostname);
    if (!this.manager.suppressEnvoyHeaders) this.#sayTimeLeft(this.#forward);
    if (this.#forward?.attemptCountHeader === true) this.head.headers.set(ATTEMPT_COUNT, String(this.attempts));
    const attempt = new UpstreamAttempt(this, endpoint, this.#forward?.retry?.perTryTimeoutMs);
    this.attempt = attempt;
    endpoint.acquire(attempt);
  }

  #sayTimeLeft(forward: Forward | undefined): void {
    const spentMs = this.attempts > 1 ? this.machine.turn.ms - this.startedAt : 0;
    const leftMs = timeLeftMs(forward?.timeoutMs ?? 0, forward?.retry?.perTryTimeoutMs ?? 0, spentMs);
    if (leftMs > 0) this.head.headers.set(EXPECTED_TIMEOUT, String(leftMs));
  }

  /** A connection is there and the head is sent: send what was kept of the body. */
  attached(attempt: UpstreamAttempt): void {
    this.#kept.sendTo(attempt);
    if (this.requestWhole && this.head.hasBody) attempt.sendEnd(undefined);
    if (this.#pausedForMemory) {
      this.#pausedForMemory = false;
      this.stream.resumeRequest();
    }
  }

  // The downstream's half.
  onBody(bytes: Uint8Array, start: number, end: number): void {
    if (this.#done) return;
    this.bytesReceived += end - start;
    this.activeAtMs = this.machine.turn.ms;
    const { attempt } = this;
    const isSent = attempt !== undefined && attempt.attached;
    const fits = (isSent && !this.#kept.forRetry) || this.#kept.add(bytes.subarray(start, end), isSent);
    if (!isSent && !fits && !this.#pausedForMemory) {
      this.#pausedForMemory = true;
      this.stream.pauseRequest();
    }
    if (isSent && !attempt.sendBody(bytes, start, end)) this.stream.pauseRequest();
  }

  onEnd(trailers: HeaderBlock | undefined): void {
    this.requestWhole = true;
    if (this.#done) return;
    const timeoutMs = this.#forward?.timeoutMs ?? 0;
    if (timeoutMs > 0 && this.head.upgrade === undefined) this.machine.wheel.set(this.timeout, timeoutMs);
    const { attempt } = this;
    if (this.head.hasBody && attempt !== undefined && attempt.attached) attempt.sendEnd(trailers);
  }

  onAbort(failure: StreamFailure, detail: string): void {
    if (this.#done) return;
    this.flags = detail === "downstream_remote_disconnect" ? FLAG.downstreamTermination : FLAG.downstreamProtocolError;
    if (this.head.upgrade !== undefined && this.#responding) this.flags = "";
    this.#isCutOff = failure !== "protocol-error" || this.#responding;
    // Else the codec has answered.
    if (!this.#isCutOff) Object.assign(this, { status: 400, bytesSent: "Bad Request".length });
    this.statusDetails ??= detail;
    if (this.attempt !== undefined && !this.attempt.attached) this.attempt.cluster.stats.rqCancelled.value++;
    // What was answered early is counted as a reset at its end.
    if (this.status === 0 || !this.isAnsweredEarly) this.manager.stats.rqRxReset.value++;
    this.attempt?.cancel();
    this.#finish();
  }

  onComplete(): void {
    this.#finish();
  }

  // The upstream's half, told by the attempt at hand.
  upstreamInterim(head: ResponseHead): void {
    this.stream.sendInterim(head);
  }

  upstreamHead(attempt: UpstreamAttempt, head: ResponseHead): void {
    const outcome: Outcome = { kind: "status", status: head.status };
    if (head.status >= 400 && this.#mayRetry(outcome)) {
      attempt.answered(head.status);
      attempt.cluster.stats.retried(head.status);
      attempt.cancel();
      this.#retry();
      return;
    }
    if (this.attempts > 1 && head.status < 500) attempt.cluster.stats.rqRetrySuccess.value++;
    attempt.answered(head.status);
    attempt.cluster.stats.response(head.status);
    this.#responding = true;
    this.statusDetails = "via_upstream";
    this.status = head.status;
    this.activeAtMs = this.machine.turn.ms;
    this.responseDurationMs = Math.round(this.activeAtMs - this.startedAt);
    const { headers } = head;
    if (!this.manager.suppressEnvoyHeaders) headers.set(SERVICE_TIME, String(Math.round(attempt.elapsedMs())));
    this.#forward?.clusterResponseMutations[this.#clusterIndex]?.(headers, this);
    this.route?.responseMutation?.(headers, this);
    this.#sendHead(head, !head.hasBody);
  }

  upstreamBody(attempt: UpstreamAttempt, bytes: Uint8Array, start: number, end: number): void {
    this.bytesSent += end - start;
    this.activeAtMs = this.machine.turn.ms;
    if (!this.stream.sendBody(bytes, start, end)) attempt.pause();
  }

  upstreamEnd(trailers: HeaderBlock | undefined): void {
    this.stream.sendEnd(trailers);
  }

  upstreamFailed(attempt: UpstreamAttempt, failure: StreamFailure, detail: string): void {
    if (this.#responding) {
      const isProtocol = failure === "protocol-error";
      this.#flag(isProtocol ? FLAG.upstreamProtocolError : FLAG.upstreamConnectionTermination);
      this.statusDetails = `upstream_reset_after_response_started{${isProtocol ? "protocol_error" : "connection_termination"}}`;
      this.#cutOff();
      this.#finish();
      return;
    }
    if (this.#mayRetry({ kind: "reset", requestSent: true })) return this.#retry();
    const isProtocol = failure === "protocol-error";
    this.upstreamFailure = detail === "" ? undefined : detail;
    const answer = endedBeforeAnswer(this.#tried(attempt), { isProtocol, detail });
    attempt.cluster.stats.response(answer.status);
    this.reply(answer);
  }

  noConnection(attempt: UpstreamAttempt, failure: ConnectFailure): void {
    if (failure.kind === "overflow") return this.#overflow(failure.detail);
    this.upstreamFailure = failure.detail;
    if (this.#mayRetry({ kind: "connect-failure" })) return this.#retry();
    attempt.cluster.stats.response(503);
    this.reply(notConnected(this.#tried(attempt), failure));
  }

  #tried({ endpoint, cluster }: UpstreamAttempt): Parameters<typeof notConnected>[0] {
    return { text: endpoint.settings.text, cluster: cluster.name, retried: this.attempts > 1 };
  }

  #flag(flag: string): void {
    this.flags = this.flags === "" ? flag : `${this.flags},${flag}`;
  }

  #overflow(detail: string): void {
    this.cluster?.stats.response(503);
    this.reply(overflow(detail, this.attempts > 1));
  }

  tryTimedOut(attempt: UpstreamAttempt): void {
    attempt.cluster.stats.rqPerTryTimeout.value++;
    attempt.timedOut();
    if (!this.#responding && this.#mayRetry({ kind: "timeout" })) return this.#retry();
    this.#replyTimeout(attempt.cluster, true);
  }

  timedOut(): void {
    if (this.#done) return;
    this.attempt?.timedOut();
    if (this.cluster === undefined) return;
    this.cluster.stats.rqTimeout.value++;
    this.#replyTimeout(this.cluster);
  }

  #replyTimeout(cluster: EndpointCluster, ofTry = false): void {
    if (this.#responding) {
      this.#flag(FLAG.upstreamTimeout);
      this.#cutOff();
      this.#finish();
      return;
    }
    cluster.stats.response(504);
    const afterMs = (ofTry ? this.#forward?.retry?.perTryTimeoutMs : this.#forward?.timeoutMs) ?? 0;
    this.reply(notAnsweredInTime(this.attempt?.endpoint.settings.text ?? cluster.name, afterMs, ofTry));
  }

  /** It stood still, or came, for too long. */
  expire(answer: OwnAnswer): void {
    this.attempt?.cancel();
    if (!this.#responding) return this.reply(answer);
    this.#flag(FLAG.streamIdleTimeout);
    this.#cutOff();
    this.#finish();
  }

  /** The client gets no whole response. */
  #cutOff(): void {
    this.#isCutOff = true;
    this.manager.stats.rqTxReset.value++;
    this.manager.stats.rqRxReset.value++;
    // What has come of it leaves first.
    this.downstream.connection.flush();
    this.stream.abort();
  }

  #mayRetry(outcome: Outcome): boolean {
    const retry = this.#forward?.retry;
    if (retry === undefined || this.#responding || !retry.wants(outcome)) return false;
    if (this.head.hasBody && !this.#kept.forRetry) return false;
    if (this.attempts <= retry.maxRetries) return true;
    if (this.cluster !== undefined) this.cluster.stats.rqRetryLimitExceeded.value++;
    this.#flag(FLAG.upstreamRetryLimit);
    return false;
  }

  #retry(): void {
    const retry = this.#forward?.retry;
    if (retry === undefined) return;
    if (this.cluster !== undefined) {
      this.cluster.stats.rqRetry.value++;
      this.cluster.stats.rqRetryBackoff.value++;
    }
    this.#later = new WheelEntry(() => this.#try());
    this.machine.wheel.set(this.#later, backOffMs(retry, this.attempts, this.machine.random.next()));
  }

  reply(answer: OwnAnswer): void {
    if (this.#done || this.#responding) return;
    const { status, body } = answer;
    this.#responding = true;
    this.statusDetails = answer.details;
    if (answer.flags !== undefined) this.#flag(answer.flags);
    const headers = headersOf(answer, this.maySayWhy);
    this.status = status;
    this.route?.responseMutation?.(headers, this);
    const bytes = Buffer.from(body);
    headers.add(CONTENT_LENGTH, String(bytes.length));
    this.#sendHead({ status, headers, hasBody: bytes.length > 0 }, bytes.length === 0);
    if (bytes.length === 0) return;
    if (this.head.method !== "HEAD") this.bytesSent += bytes.length;
    this.stream.sendBody(bytes, 0, bytes.length);
    this.stream.sendEnd(undefined);
  }

  #sendHead(head: ResponseHead, endStream: boolean): void {
    const { manager, machine } = this;
    const { headers } = head;
    this.status = head.status;
    this.responseHeaders = headers;
    if (manager.serverHeader === "overwrite" || (manager.serverHeader === "append-if-absent" && !headers.has(SERVER))) headers.set(SERVER, manager.serverName);
    if (!headers.has(DATE)) headers.add(DATE, machine.httpDate());
    if (manager.requestIdInResponse) headers.set(REQUEST_ID, this.header(REQUEST_ID) ?? "");
    if (machine.draining) this.stream.closeAfter();
    this.stream.sendHead(head, endStream);
  }

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    const { manager, machine } = this;
    machine.wheel.cancel(this.timeout);
    if (this.#later !== undefined) machine.wheel.cancel(this.#later);
    this.attempt?.released();
    this.durationMs = Math.round(machine.turn.ms - this.startedAt);
    manager.stats.rqActive.value--;
    manager.stats.txBytes.value += this.downstream.takeSentBytes();
    if (this.status > 0 && this.isAnsweredEarly) {
      manager.stats.rqResponseBeforeWhole.value++;
      manager.stats.rqRxReset.value++;
    }
    manager.stats.completed(this.status, this.durationMs, !this.#isCutOff);
    machine.traffic?.record(this);
    if (manager.accessLogs.any) manager.accessLogs.write(this);
  }
}
