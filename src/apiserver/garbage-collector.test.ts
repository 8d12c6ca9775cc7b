import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startTestServer, type Answer, type TestServer } from "./test-server.ts";

describe("garbage collection", () => {
  let server: TestServer;
  let namespace = "";
  let count = 0;
  const maps = () => `/api/v1/namespaces/${namespace}/configmaps`;
  const namesLeft = async () => {
    const { body } = await server.call("GET", maps());
    return (body["items"] as unknown as readonly { readonly metadata: { readonly name: string } }[]).map(({ metadata }) => metadata.name);
  };

  const ownersOf = async (name: string) => {
    const { body } = await server.call("GET", `${maps()}/${name}`);
    return ((body["metadata"]?.["ownerReferences"] ?? []) as unknown as readonly { readonly name: string }[]).map((each) => each.name);
  };

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  /** Collecting follows writes by a turn or a few. */
  async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
    for (const end = Date.now() + 30_000; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 10))) assert.ok(Date.now() < end, what);
  }

  async function make(name: string, metadata: object = {}): Promise<string> {
    const { status, body } = await server.call("POST", maps(), { metadata: { name, ...metadata } });
    assert.equal(status, 201, JSON.stringify(body));
    return String(body["metadata"]?.["uid"]);
  }

  const owner = (name: string, uid: string, more: object = {}) => ({ apiVersion: "v1", kind: "ConfigMap", name, uid, ...more });

  /** A new namespace with: owner <- dependent <- grandchild, and "shared", which "other" owns too. */
  async function family(): Promise<void> {
    namespace = `family-${++count}`;
    await server.call("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
    const [uid, other] = [await make("owner"), await make("other")];
    const dependent = await make("dependent", { ownerReferences: [owner("owner", uid, { blockOwnerDeletion: true })] });
    await make("grandchild", { ownerReferences: [owner("dependent", dependent, { blockOwnerDeletion: true })] });
    await make("shared", { ownerReferences: [owner("owner", uid), owner("other", other)] });
  }

  const remove = (propagationPolicy: string): Promise<Answer> => server.call("DELETE", `${maps()}/owner`, { propagationPolicy });
  const leaves = (...names: readonly string[]) =>
    until(async () => JSON.stringify(await namesLeft()) === JSON.stringify(names), `only ${names.join(", ")} stay`);

  test("in the background the owner goes at once, and what nobody else owns after it", async () => {
    await family();
    assert.equal((await remove("Background")).body["status"], "Success");
    await leaves("other", "shared");
    await until(async () => (await ownersOf("shared")).join() === "other", "of two owners one is left");
  });

  test("in the foreground the owner waits for what blocks it, to any depth", async () => {
    await family();
    await server.call("PATCH", `${maps()}/grandchild`, { metadata: { finalizers: ["example.org/hold"] } }, { type: "application/merge-patch+json" });
    const { body } = await remove("Foreground");
    assert.deepEqual(body["metadata"]?.["finalizers"], ["foregroundDeletion"]);
    await until(
      async () => (await server.call("GET", `${maps()}/grandchild`)).body["metadata"]?.["deletionTimestamp"] !== undefined,
      "the grandchild is to go",
    );
    assert.ok((await namesLeft()).includes("owner"), "a grandchild that stays keeps its owners");
    await server.call("PATCH", `${maps()}/grandchild`, { metadata: { finalizers: null } }, { type: "application/merge-patch+json" });
    await until(async () => !(await namesLeft()).includes("owner"), "the owner goes last");
    await leaves("other", "shared");
    assert.deepEqual(await ownersOf("shared"), ["other"]);
  });

  test("orphans stay and have no owner any more", async () => {
    await family();
    await remove("Orphan");
    await leaves("dependent", "grandchild", "other", "shared");
    await until(async () => (await ownersOf("dependent")).length === 0, "nobody owns the dependent");
  });

  test("what is made for an owner that is gone goes too", async () => {
    await family();
    await make("late", { ownerReferences: [owner("nobody", "00000000-0000-4000-8000-000000000000")] });
    await leaves("dependent", "grandchild", "other", "owner", "shared");
  });

  test("a namespace takes all along, refuses anything new meanwhile, and waits for finalizers", async () => {
    await family();
    await make("held", { finalizers: ["example.org/hold"] });
    await server.call("DELETE", `/api/v1/namespaces/${namespace}`);
    await leaves("held");
    const refused = await server.call("POST", maps(), { metadata: { name: "new" } });
    assert.equal(refused.status, 403);
    assert.match(String(refused.body["message"]), /unable to create new content in namespace family-\d+ because it is being terminated/);
    assert.equal((await server.call("GET", `/api/v1/namespaces/${namespace}`)).body["status"]?.["phase"], "Terminating");
    await server.call("PATCH", `${maps()}/held`, { metadata: { finalizers: [] } }, { type: "application/merge-patch+json" });
    await until(async () => (await server.call("GET", `/api/v1/namespaces/${namespace}`)).status === 404, "the namespace goes");
  });

  test("a server that starts anew goes on where it was", async () => {
    await family();
    await server.call("PATCH", `${maps()}/dependent`, { metadata: { finalizers: ["example.org/hold"] } }, { type: "application/merge-patch+json" });
    await remove("Foreground");
    await server.restart();
    await server.call("PATCH", `${maps()}/dependent`, { metadata: { finalizers: [] } }, { type: "application/merge-patch+json" });
    await until(async () => !(await namesLeft()).includes("owner"), "the owner goes after a restart too");
  });
});
