/**
 * What generated code calls to make a file's descriptor, in place of the library's function of the same name. The library
 * registers, for every file, all types of all files below it, once a path that leads there: with Envoy's hundred
 * files this was the half of a proxy's start (190 of 400 ms CPU, 2026-11-21; here 80). A file can only name types of
 * those that it imports itself, and of those that these import publicly (Protocol Buffers, "Importing Definitions").
 */
import type { DescFile } from "@bufbuild/protobuf";
import { fileDesc as describeFile } from "@bufbuild/protobuf/codegenv2";

export function fileDesc(base64: string, imports: readonly DescFile[] = []): DescFile {
  const file = describeFile(base64, imports.map(withPublicImports));
  return Object.assign(file, { dependencies: [...imports] });
}

function withPublicImports(file: DescFile): DescFile {
  const dependencies = file.proto.publicDependency.flatMap((index) => file.dependencies[index] ?? []).map(withPublicImports);
  return { ...file, dependencies };
}
