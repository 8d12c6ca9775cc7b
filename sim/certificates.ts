/** The certificates of a simulated cluster: one authority for the API and its clients, another for the mesh. */
import { authority } from "#host/contract/certificates.ts";

export interface Certificates {
  readonly ca: string;
  readonly certificate: string;
  readonly privateKey: string;
}

export interface ClusterCertificates {
  readonly meshRoot: { readonly certificate: string; readonly privateKey: string };
  readonly api: Certificates;
  readonly control: Certificates;
  readonly admin: Certificates;
  readonly nodes: ReadonlyMap<string, Certificates>;
}

export async function makeCertificates(control: string, nodes: readonly { readonly name: string; readonly address: string }[]): Promise<ClusterCertificates> {
  const cluster = await authority("weft");
  const mesh = await authority("mesh");
  const issue = async (subject: string, ips: readonly string[]): Promise<Certificates> => ({
    ca: cluster.ca,
    ...(await cluster.issue(
      ips.map((value) => ({ type: "ip", value })),
      { subject },
    )),
  });
  const issued = new Map<string, Certificates>();
  for (const { name, address } of nodes) issued.set(name, await issue(`CN=system:node:${name}, O=system:nodes`, [address]));
  return {
    meshRoot: { certificate: mesh.ca, privateKey: mesh.privateKey },
    api: await issue("CN=kube-apiserver", [control]),
    control: await issue("CN=system:weft:control, O=system:masters", [control]),
    admin: await issue("CN=kubernetes-admin, O=system:masters", []),
    nodes: issued,
  };
}
