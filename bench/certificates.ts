/** Certificates for the mTLS benchmarks, made anew in each run: a P-256 root and one SPIFFE leaf for both sides. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface CertificateFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  /** Certificate and key in one file, as HAProxy reads them. */
  readonly bundle: string;
}

export function makeCertificates(folder: string): CertificateFiles {
  const file = (name: string): string => join(folder, name);
  const files = { ca: file("ca.crt"), certificate: file("tls.crt"), key: file("tls.key"), bundle: file("tls.pem") };
  const openssl = (...args: string[]): void => void execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...newKey, "-keyout", file("ca.key"), "-out", files.ca, "-days", "2", "-subj", "/CN=bench root");
  openssl("req", ...newKey, "-keyout", files.key, "-out", file("tls.csr"), "-subj", "/O=bench");
  writeFileSync(
    file("san.cnf"),
    "subjectAltName=critical,URI:spiffe://cluster.local/ns/default/sa/bench,DNS:bench.example.org\nextendedKeyUsage=serverAuth,clientAuth\n",
  );
  const signer = ["-CA", files.ca, "-CAkey", file("ca.key"), "-CAcreateserial", "-extfile", file("san.cnf")];
  openssl("x509", "-req", "-in", file("tls.csr"), "-out", files.certificate, "-days", "2", ...signer);
  writeFileSync(files.bundle, readFileSync(files.certificate, "utf8") + readFileSync(files.key, "utf8"));
  return files;
}
