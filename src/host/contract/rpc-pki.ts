/** Certificates for the Rpc contract, made by OpenSSL: the contract must not depend on Weft's own CA. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RpcContractSetup } from "./rpc.ts";

export function contractPki(): RpcContractSetup["pki"] {
  const folder = mkdtempSync(join(tmpdir(), "weft-rpc-pki-"));
  const openssl = (...args: string[]): unknown => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const root = (name: string): unknown =>
    openssl(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.pem`,
      "-subj",
      `/CN=${name}`,
    );
  const leaf = (name: string): { certificate: string; privateKey: string } => {
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    writeFileSync(join(folder, "san"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    openssl("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", `${name}.pem`, "-extfile", "san");
    return read(name);
  };
  const read = (name: string): { certificate: string; privateKey: string } => ({
    certificate: readFileSync(join(folder, `${name}.pem`), "utf8"),
    privateKey: readFileSync(join(folder, `${name}.key`), "utf8"),
  });
  try {
    root("ca");
    root("stranger");
    return { ca: read("ca").certificate, server: leaf("server"), client: leaf("client"), stranger: read("stranger") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
