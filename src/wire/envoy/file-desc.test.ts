import assert from "node:assert/strict";
import { test } from "node:test";
import { create, createFileRegistry, toBinary, type DescFile, type Registry } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Type, FileDescriptorProtoSchema, FileDescriptorSetSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { envoyRegistry } from "./gen/registry.ts";
import { fileDesc } from "./file-desc.ts";

/** A file with one message, whose fields have the messages of the `fields` files as types. */
function proto(name: string, imports: readonly string[], fields: readonly string[], publicDependency: number[] = []): FileDescriptorProto {
  const field = fields.map((type, index) => ({
    name: `field_${type}`,
    number: index + 1,
    type: FieldDescriptorProto_Type.MESSAGE,
    typeName: `.${type}.Message`,
  }));
  return create(FileDescriptorProtoSchema, {
    name: `${name}.proto`,
    package: name,
    syntax: "proto3",
    dependency: imports.map((each) => `${each}.proto`),
    publicDependency,
    messageType: [{ name: "Message", field }],
  });
}

function describe(file: FileDescriptorProto, imports: readonly DescFile[]): DescFile {
  return fileDesc(Buffer.from(toBinary(FileDescriptorProtoSchema, file)).toString("base64"), imports);
}

test("a file names types of its imports, and of what these import publicly", () => {
  const protos = [
    proto("base", [], []),
    proto("middle", ["base"], ["base"], [0]),
    proto("umbrella", ["middle"], [], [0]),
    proto("top", ["umbrella"], ["base", "middle"]),
  ] as const;
  const base = describe(protos[0], []);
  const middle = describe(protos[1], [base]);
  const umbrella = describe(protos[2], [middle]);
  const top = describe(protos[3], [umbrella]);
  assert.deepEqual(
    top.messages[0]?.fields.map((field) => [field.jsonName, field.message]),
    [
      ["fieldBase", base.messages[0]],
      ["fieldMiddle", middle.messages[0]],
    ],
  );
  assert.deepEqual(top.dependencies, [umbrella]);
  assert.throws(() => describe(proto("alone", [], ["base"]), []), /base\.Message/);
});

test("Envoy's types are what the library makes of the same files at once", () => {
  const whole = createFileRegistry(create(FileDescriptorSetSchema, { file: filesOf(envoyRegistry) }));
  let seen = 0;
  for (const type of envoyRegistry) {
    if (type.kind !== "message") continue;
    seen += 1;
    const shape = (message: typeof type | undefined): unknown =>
      message?.fields.map((field) => [field.jsonName, field.fieldKind, field.message?.typeName, field.enum?.typeName]);
    assert.deepEqual(shape(type), shape(whole.getMessage(type.typeName)), type.typeName);
  }
  assert.ok(seen > 500, `${seen} messages`);
});

/** Those of its types and all below them, imported ones first. */
function filesOf(registry: Registry): FileDescriptorProto[] {
  const found = new Map<string, FileDescriptorProto>();
  const add = (file: DescFile): void => {
    if (found.has(file.proto.name)) return;
    for (const imported of file.dependencies) add(imported);
    found.set(file.proto.name, file.proto);
  };
  for (const type of registry) add(type.file);
  return [...found.values()];
}
