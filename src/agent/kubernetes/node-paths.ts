/** Where things are on a Kubernetes node, as the DaemonSet mounts them. */
export interface NodePaths {
  readonly state: string;
  readonly plugins: string;
  readonly networkConfigs: string;
  /** The plugin in the image. */
  readonly pluginSource: string;
  readonly controlToken: string;
}

export const PATHS: NodePaths = {
  state: "/run/weft",
  plugins: "/opt/cni/bin",
  networkConfigs: "/etc/cni/net.d",
  pluginSource: "/opt/weft/cni",
  controlToken: "/var/run/secrets/weft/token",
};
