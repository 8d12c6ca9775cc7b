/** normalize_path (RFC 3986 6.2.2: dot segments, unreserved escapes) and merge_slashes. */
export function normalizedPath(path: string, options: { readonly normalizePath: boolean; readonly mergeSlashes: boolean }): string | undefined {
  if (!path.startsWith("/")) return path;
  const query = path.search(/[?#]/);
  let pathname = query < 0 ? path : path.slice(0, query);
  const rest = query < 0 ? "" : path.slice(query);
  if (options.normalizePath && /%|\/\.|\\/.test(pathname)) {
    if (/%00/.test(pathname)) return undefined;
    pathname = removeDotSegments(pathname.replace(/\\/g, "/").replace(/%([0-9a-fA-F]{2})/g, unescapeUnreserved));
    if (pathname === "") return undefined;
  }
  if (options.mergeSlashes) pathname = pathname.replace(/\/{2,}/g, "/");
  return pathname + rest;
}

function unescapeUnreserved(escape: string, hex: string): string {
  const c = String.fromCharCode(Number.parseInt(hex, 16));
  return /[A-Za-z0-9\-._~]/.test(c) ? c : escape;
}

function removeDotSegments(pathname: string): string {
  const out: string[] = [];
  const segments = pathname.split("/").slice(1);
  for (const [i, segment] of segments.entries()) {
    const isLast = i === segments.length - 1;
    if (segment === "..") {
      out.pop();
      if (isLast) out.push("");
    } else if (segment === ".") {
      if (isLast) out.push("");
    } else out.push(segment);
  }
  return `/${out.join("/")}`;
}
