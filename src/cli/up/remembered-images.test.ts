import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeHost } from "#host/fake/fake.ts";
import { FakeWorld } from "#host/fake/world.ts";
import type { ImageMap } from "#model/config.ts";
import { rememberImages, unknownImages } from "./remembered-images.ts";

const STATE = "/var/state";
const web = { match: "web:*", command: ["sleep", "1"] };
const shell = { match: "shell", command: ["sh"] };

test("what an earlier start was given stays, and what a later one gives counts", async () => {
  const { files } = fakeHost(new FakeWorld(), { name: "machine" });
  await files.makeDirectory(STATE);
  assert.deepEqual(await rememberImages(files, STATE, [web, shell]), [web, shell]);
  assert.deepEqual(await rememberImages(files, STATE, []), [web, shell]);
  const newer = { match: "web:*", command: ["sleep", "2"] };
  assert.deepEqual(await rememberImages(files, STATE, [newer]), [newer, shell]);
  const given: ImageMap = [shell, web, { match: "other", command: ["true"] }];
  assert.deepEqual(await unknownImages(files, STATE, given), ["web:*", "other"]);
});

test("a file that is broken is named, with the way out", async () => {
  const { files } = fakeHost(new FakeWorld(), { name: "machine" });
  await files.makeDirectory(STATE);
  await files.writeAtomic(`${STATE}/images.json`, "[");
  await assert.rejects(rememberImages(files, STATE, []), /^Error: \/var\/state\/images\.json is broken .*; remove it .*--fresh$/);
});
