/** What every implementation of Rpc does. Run by host/real/rpc.test.ts and host/fake/rpc.test.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RPC_STATUS } from "#host/rpc.ts";
import type { PeerCredentials, Rpc, RpcChannel, RpcMethod, RpcServer, RpcStatus } from "#host/rpc.ts";
import type { StreamAddress } from "#host/net.ts";

export interface RpcContractSetup {
  readonly rpc: Rpc;
  /** Addresses nobody uses. */
  unixAddress(): StreamAddress;
  tcpAddress(): StreamAddress;
  abstractAddress(): StreamAddress;
  /** Certificates of one CA for 127.0.0.1 and for a client, and a client certificate of another CA; PEM. */
  readonly pki: {
    readonly ca: string;
    readonly server: { readonly certificate: string; readonly privateKey: string };
    readonly client: { readonly certificate: string; readonly privateKey: string };
    readonly stranger: { readonly certificate: string; readonly privateKey: string };
  };
  /** Lets virtual time pass until `done`; on the real host waits. */
  until(done: () => boolean): Promise<void>;
}

const text = (message: Uint8Array): string => Buffer.from(message).toString();
const bytes = (message: string): Uint8Array => Buffer.from(message);

/** Answers every message with it and the caller's metadata; ends when the caller half-closes. */
const echo: RpcMethod = (call) => ({
  onMessage: (message) => call.send(bytes(`${text(message)} ${call.metadata["weft-pod"] ?? ""}`)),
  onEnd: () => call.end(),
});

interface Recorded {
  readonly messages: string[];
  status: RpcStatus | undefined;
  closes: number;
}

function record(channel: RpcChannel, method: string, metadata: Record<string, string> = {}) {
  const recorded: Recorded = { messages: [], status: undefined, closes: 0 };
  const call = channel.call(method, metadata, {
    onMessage: (message) => void recorded.messages.push(text(message)),
    onClose(status) {
      recorded.status = status;
      recorded.closes += 1;
    },
  });
  return { recorded, call };
}

export function rpcContract(setup: () => RpcContractSetup): void {
  describe("Rpc", () => {
    async function withServer(method: RpcMethod, use: (channel: RpcChannel, server: RpcServer) => Promise<void>): Promise<void> {
      const { rpc, unixAddress } = setup();
      const server = await rpc.serve({ address: unixAddress(), methods: { "/test.Test/Method": method } });
      const channel = rpc.connect({ address: server.address });
      try {
        await use(channel, server);
      } finally {
        channel.close();
        await server.close();
      }
    }

    it("carries messages both ways in order, with metadata, until both sides end", () =>
      withServer(echo, async (channel) => {
        const { recorded, call } = record(channel, "/test.Test/Method", { "weft-pod": "default/a" });
        for (let i = 0; i < 100; i++) call.send(bytes(String(i)));
        call.end();
        await setup().until(() => recorded.status !== undefined);
        assert.deepEqual(recorded, { messages: Array.from({ length: 100 }, (_, i) => `${i} default/a`), status: recorded.status, closes: 1 });
        assert.equal(recorded.status?.code, RPC_STATUS.ok);
      }));

    it("carries the status that the service ends a call with, after its messages", () =>
      withServer(
        (call) => ({
          onMessage() {
            call.send(bytes("first"));
            call.end(RPC_STATUS.permissionDenied, "not yours");
          },
        }),
        async (channel) => {
          const { recorded, call } = record(channel, "/test.Test/Method");
          call.send(bytes("x"));
          await setup().until(() => recorded.status !== undefined);
          assert.deepEqual(recorded.messages, ["first"]);
          assert.deepEqual({ code: recorded.status?.code, message: recorded.status?.message }, { code: RPC_STATUS.permissionDenied, message: "not yours" });
        },
      ));

    it("answers an unknown method with UNIMPLEMENTED", () =>
      withServer(echo, async (channel) => {
        const { recorded } = record(channel, "/test.Test/Other");
        await setup().until(() => recorded.status !== undefined);
        assert.equal(recorded.status?.code, RPC_STATUS.unimplemented);
      }));

    it("tells the service once when the caller cancels", async () => {
      let closes = 0;
      let calls = 0;
      await withServer(
        () => {
          calls += 1;
          return { onMessage: () => undefined, onClose: () => void (closes += 1) };
        },
        async (channel) => {
          const { recorded, call } = record(channel, "/test.Test/Method");
          await setup().until(() => calls === 1);
          call.cancel();
          await setup().until(() => closes === 1 && recorded.status !== undefined);
          assert.equal(recorded.status?.code, RPC_STATUS.cancelled);
        },
      );
      assert.equal(closes, 1);
    });

    it("ends calls when the server closes, and reaches the next server at that address by the same channel", async () => {
      const { rpc, unixAddress, until } = setup();
      const address = unixAddress();
      const methods = { "/test.Test/Method": echo };
      const first = await rpc.serve({ address, methods });
      const channel = rpc.connect({ address });
      const one = record(channel, "/test.Test/Method");
      one.call.send(bytes("a"));
      await until(() => one.recorded.messages.length === 1);
      await first.close();
      await until(() => one.recorded.status !== undefined);
      assert.notEqual(one.recorded.status?.code, RPC_STATUS.ok);
      const refused = record(channel, "/test.Test/Method");
      await until(() => refused.recorded.status !== undefined);
      assert.equal(refused.recorded.status?.code, RPC_STATUS.unavailable);

      const second = await rpc.serve({ address, methods });
      let again = record(channel, "/test.Test/Method");
      again.call.send(bytes("b"));
      await until(() => {
        if (again.recorded.status !== undefined) {
          again = record(channel, "/test.Test/Method");
          again.call.send(bytes("b"));
        }
        return again.recorded.messages.length === 1;
      });
      channel.close();
      await second.close();
    });

    it("shows the service the certificate of a client it can verify, and refuses others", async () => {
      const { rpc, tcpAddress, pki, until } = setup();
      let certificate: Uint8Array | undefined;
      const method: RpcMethod = (call) => {
        certificate = call.peer.certificate;
        return echo(call);
      };
      const server = await rpc.serve({
        address: tcpAddress(),
        tls: { ...pki.server, ca: pki.ca, requireClientCertificate: true },
        methods: { "/test.Test/Method": method },
      });
      const attempts = [
        { name: "a verified client", tls: { ca: pki.ca, ...pki.client }, ok: true },
        { name: "a client without a certificate", tls: { ca: pki.ca }, ok: false },
        { name: "a client of another CA", tls: { ca: pki.ca, ...pki.stranger }, ok: false },
        { name: "a client that expects another name", tls: { ca: pki.ca, ...pki.client, serverName: "other.example.org" }, ok: false },
        { name: "a client that trusts another CA", tls: { ca: pki.stranger.certificate, ...pki.client }, ok: false },
        { name: "a client without TLS", tls: undefined, ok: false },
      ];
      for (const { name, tls, ok } of attempts) {
        certificate = undefined;
        const channel = rpc.connect({ address: server.address, ...(tls === undefined ? {} : { tls }) });
        const { recorded, call } = record(channel, "/test.Test/Method");
        call.send(bytes("hello"));
        call.end();
        await until(() => recorded.status !== undefined);
        assert.equal(recorded.status?.code, ok ? RPC_STATUS.ok : RPC_STATUS.unavailable, `${name}: ${recorded.status?.message}`);
        assert.equal(certificate !== undefined, ok, name);
        channel.close();
      }
      await server.close();
    });

    it("is served at an abstract name, to whom is admitted by the kernel's word", async () => {
      const { rpc, abstractAddress, until } = setup();
      const address = abstractAddress();
      const seen: PeerCredentials[] = [];
      let refusal: string | undefined = "not yet";
      const admit = (peer: PeerCredentials): Promise<string | undefined> => {
        seen.push(peer);
        return Promise.resolve(refusal);
      };
      const server = await rpc.serve({ address, methods: { "/test.Test/Method": echo }, admit });
      const channel = rpc.connect({ address });
      const refused = record(channel, "/test.Test/Method");
      await until(() => refused.recorded.status !== undefined);
      assert.equal(refused.recorded.status?.code, RPC_STATUS.unavailable);
      assert.ok((seen[0]?.pid ?? 0) > 0);
      refusal = undefined;
      let admitted = record(channel, "/test.Test/Method");
      await until(() => {
        if (admitted.recorded.status?.code === RPC_STATUS.unavailable) admitted = record(channel, "/test.Test/Method");
        if (admitted.recorded.messages.length === 0) admitted.call.send(bytes("hello"));
        return admitted.recorded.messages.length > 0;
      });
      channel.close();
      await server.close();
    });

    it("shows a renewed certificate to connections that begin later, and keeps those that are open", async () => {
      const { rpc, tcpAddress, pki, until } = setup();
      const server = await rpc.serve({
        address: tcpAddress(),
        tls: { ...pki.server, ca: pki.ca, requireClientCertificate: false },
        methods: { "/test.Test/Method": echo },
      });
      const before = rpc.connect({ address: server.address, tls: { ca: pki.ca } });
      const open = record(before, "/test.Test/Method");
      open.call.send(bytes("a"));
      await until(() => open.recorded.messages.length === 1);
      // Of another CA, so that who connects anew sees the difference.
      server.renew(pki.stranger);
      open.call.send(bytes("b"));
      await until(() => open.recorded.messages.length === 2);
      const later = rpc.connect({ address: server.address, tls: { ca: pki.ca } });
      const refused = record(later, "/test.Test/Method");
      refused.call.send(bytes("c"));
      await until(() => refused.recorded.status !== undefined);
      assert.equal(refused.recorded.status?.code, RPC_STATUS.unavailable);
      before.close();
      later.close();
      await server.close();
    });

    it("refuses an address that is in use", async () => {
      const { rpc, tcpAddress } = setup();
      const server = await rpc.serve({ address: tcpAddress(), methods: {} });
      await assert.rejects(rpc.serve({ address: server.address, methods: {} }), { name: "HostError", code: "EADDRINUSE" });
      await server.close();
    });
  });
}
