/** What every implementation of Storage does. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, test } from "node:test";
import type { Subject } from "./subject.ts";

export function filesContract(make: () => Promise<Subject>): void {
  describe("files", () => {
    test("a copy has the content and the mode, and takes the place of what was there", async () => {
      const { host, folder, settle, close } = await make();
      await settle(
        (async () => {
          await host.files.makeDirectory(folder);
          await host.files.writeAtomic(`${folder}/from`, "new", { mode: 0o755 });
          await host.files.writeAtomic(`${folder}/to`, "old and longer");
          await host.files.copyAtomic(`${folder}/from`, `${folder}/to`);
          assert.equal(await host.files.readText(`${folder}/to`), "new");
          assert.equal((await host.files.stat(`${folder}/to`))?.mode, 0o755);
          assert.deepEqual(await host.files.list(folder), ["from", "to"]);
          await assert.rejects(host.files.copyAtomic(`${folder}/none`, `${folder}/to`), { code: "ENOENT" });
        })(),
      );
      await close();
    });
  });
}

export function storageContract(make: () => Promise<Subject>): void {
  describe("storage", () => {
    let subject: Subject;
    beforeEach(async () => {
      subject = await make();
    });
    afterEach(() => subject.close());

    const open = () => subject.settle(subject.host.storage.open(`${subject.folder}/deep/log.db`));

    it("gives back what was appended, by revision, also when it was never closed", async () => {
      const log = await open();
      log.append([{ revision: 1, key: "a", value: "1" }]);
      log.append([
        { revision: 2, key: "b", value: "2" },
        { revision: 3, key: "a", value: undefined },
      ]);
      const again = await open();
      assert.deepEqual(
        [...again.load()],
        [
          { revision: 1, key: "a", value: "1" },
          { revision: 2, key: "b", value: "2" },
          { revision: 3, key: "a", value: undefined },
        ],
      );
      assert.equal(again.compactedRevision, 0);
      again.close();
      log.close();
    });

    it("appends all of a batch or nothing", async () => {
      const log = await open();
      log.append([{ revision: 1, key: "a", value: "1" }]);
      assert.throws(() =>
        log.append([
          { revision: 2, key: "b", value: "2" },
          { revision: 1, key: "a", value: "again" },
        ]),
      );
      assert.equal([...log.load()].length, 1);
      log.close();
    });

    it("drops what was superseded or deleted when compacted, and remembers how far", async () => {
      const log = await open();
      log.append([
        { revision: 1, key: "a", value: "1" },
        { revision: 2, key: "a", value: "2" },
        { revision: 3, key: "b", value: "3" },
        { revision: 4, key: "b", value: undefined },
        { revision: 5, key: "a", value: "5" },
      ]);
      log.compact(4);
      assert.deepEqual(
        [...log.load()].map(({ revision }) => revision),
        [2, 5],
      );
      log.close();
      const again = await open();
      assert.equal(again.compactedRevision, 4);
      again.close();
    });
  });
}
