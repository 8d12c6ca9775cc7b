/** Certificates for tests of the API: one authority, a server and clients by subject. */
import { authority, type Identity } from "#host/contract/certificates.ts";

export interface TestAuthority {
  readonly ca: string;
  issue(subject: string, options?: { readonly expired?: boolean; readonly addresses?: readonly string[] }): Promise<Identity>;
}

export async function testAuthority(): Promise<TestAuthority> {
  const { ca, issue } = await authority("test");
  return {
    ca,
    issue(subject, { expired = false, addresses = [] } = {}) {
      const names = addresses.map((value) => ({ type: /^[\d.]+$/.test(value) ? ("ip" as const) : ("dns" as const), value }));
      const validity = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2020-01-02T00:00:00Z") };
      return issue(names, { subject, ...(expired ? { validity } : {}) });
    },
  };
}
