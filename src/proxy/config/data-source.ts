/** envoy.config.core.v3.DataSource: text that stands in the configuration, in a file or in the environment. */
import type { DataSource } from "#wire/envoy/gen/envoy/config/core/v3/base_pb.ts";
import { ConfigProblem } from "#decide/config-problem.ts";
import type { Files } from "#host/files.ts";

export async function readDataSource(source: DataSource | undefined, files: Files, path: string): Promise<string | undefined> {
  const specifier = source?.specifier;
  switch (specifier?.case) {
    case "inlineString":
      return specifier.value;
    case "inlineBytes":
      return new TextDecoder().decode(specifier.value);
    case "filename":
      try {
        return await files.readText(specifier.value);
      } catch (error) {
        throw new ConfigProblem(`${path}.filename`, error instanceof Error ? error.message : String(error));
      }
    case "environmentVariable":
      throw new ConfigProblem(`${path}.environment_variable`, "not supported by weft proxy");
    default:
      return undefined;
  }
}

/** For places where the answer is needed at once. */
export function inlineData(source: DataSource | undefined, path: string): string | undefined {
  const specifier = source?.specifier;
  if (specifier?.case === "inlineString") return specifier.value;
  if (specifier?.case === "inlineBytes") return new TextDecoder().decode(specifier.value);
  if (specifier?.case === undefined) return undefined;
  throw new ConfigProblem(path, "only inline_string and inline_bytes are supported by weft proxy here");
}
