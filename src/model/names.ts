/** Kubernetes' rules for names, labels and annotations; each returns what is wrong, or undefined. */
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const label1123 = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const label1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const qualified = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

export function subdomainBreach(name: string): string | undefined {
  if (name.length > 253) return "must be no more than 253 characters";
  if (subdomain.test(name)) return undefined;
  return (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric " +
    "character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
  );
}

export function labelBreach(name: string): string | undefined {
  if (name.length > 63) return "must be no more than 63 characters";
  if (label1123.test(name)) return undefined;
  return (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric " +
    "character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
  );
}

export function serviceNameBreach(name: string): string | undefined {
  if (name.length > 63) return "must be no more than 63 characters";
  if (label1035.test(name)) return undefined;
  return (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric " +
    "character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
  );
}

export function qualifiedNameBreach(key: string): string | undefined {
  const parts = key.split("/");
  if (parts.length > 2) {
    return (
      "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  " +
      "or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and " +
      "'/' (e.g. 'example.com/MyName')"
    );
  }
  const [prefix, name] = parts.length === 2 ? parts : [undefined, parts[0]];
  if (prefix === "") return "prefix part must be non-empty";
  if (prefix !== undefined) {
    const breach = subdomainBreach(prefix);
    if (breach !== undefined) return `prefix part ${breach}`;
  }
  if (name === undefined || name === "") return "name part must be non-empty";
  if (name.length > 63) return "name part must be no more than 63 characters";
  if (qualified.test(name)) return undefined;
  return (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
  );
}

export function labelValueBreach(value: string): string | undefined {
  if (value.length > 63) return "must be no more than 63 characters";
  if (value === "" || qualified.test(value)) return undefined;
  return (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " +
    "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
  );
}

/** IANA_SVC_NAME: names of ports. */
export function portNameBreach(name: string): string | undefined {
  if (name.length > 15) return "must be no more than 15 characters";
  if (!/^[-a-z0-9]+$/.test(name)) return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
  if (!/[a-z]/.test(name)) return "must contain at least one letter (a-z)";
  return name.startsWith("-") || name.endsWith("-") || name.includes("--") ? "must not contain consecutive hyphens or begin or end with one" : undefined;
}

/** Names of environment variables, as relaxed since Kubernetes 1.32. */
export function envNameBreach(name: string): string | undefined {
  return /^[ -<>-~]+$/.test(name) ? undefined : "a valid environment variable name must consist only of printable ASCII characters other than '='";
}

export function portNumberBreach(port: number): string | undefined {
  return port >= 1 && port <= 65535 ? undefined : "must be between 1 and 65535, inclusive";
}

/** A port by number or by name. */
export function portBreach(port: number | string): string | undefined {
  return typeof port === "number" ? portNumberBreach(port) : portNameBreach(port);
}
