/** Configuration that cannot be used: which field, and why. Thrown while compiling, so that nothing half-compiled serves. */
export class ConfigProblem extends Error {
  readonly path: string;
  constructor(path: string, problem: string) {
    const at = path.replace(/^\./, "");
    super(at === "" ? problem : `${at}: ${problem}`);
    this.name = "ConfigProblem";
    this.path = at;
  }
}

export const NOT_SUPPORTED = "not supported by weft proxy";
