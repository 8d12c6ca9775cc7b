/** What Node keeps below a socket; undocumented, the same from Node 20 to 24 (tested by the contract suite). */
export interface NodeHandle {
  readonly fd: number;
  /** Only TCP handles have it. */
  setNoDelay?(on: boolean): number;
  onconnection?: (error: number, handle: NodeHandle) => void;
}

export function handleOf(owner: object): NodeHandle | undefined {
  return (owner as { _handle?: NodeHandle | null })._handle ?? undefined;
}
