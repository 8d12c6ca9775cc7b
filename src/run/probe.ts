/** Questions of probes to a port, asked as kubelet asks them, once. The answer is a result, never an exception. */
import type { Host } from "#host/host.ts";

export interface ProbeResult {
  readonly ok: boolean;
  readonly message: string;
  /** Of an HTTP answer. */
  readonly status?: number;
}

/** Where to ask, and how our own socket looks. */
export interface ProbePlace {
  readonly ip: string;
  readonly port: number;
  readonly netns?: string;
  readonly mark?: number;
  readonly sourceIp?: string;
}

export interface HttpQuestion {
  readonly scheme?: "HTTP" | "HTTPS" | undefined;
  readonly path?: string | undefined;
  readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[] | undefined;
}

export async function probeHttp(
  host: Pick<Host, "http">,
  { ip, port, ...socket }: ProbePlace,
  question: HttpQuestion,
  timeoutMs: number,
): Promise<ProbeResult> {
  const scheme = (question.scheme ?? "HTTP").toLowerCase();
  const path = question.path ?? "/";
  const authority = ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
  const url = `${scheme}://${authority}${path.startsWith("/") ? path : `/${path}`}`;
  const headers: Record<string, string> = { "user-agent": "kube-probe/1.33", accept: "*/*", connection: "close" };
  for (const header of question.httpHeaders ?? []) headers[header.name.toLowerCase()] = header.value;
  const tls = scheme === "https" ? { tls: { insecure: true } } : {};
  try {
    const response = await host.http.request({ method: "GET", url, headers, ...socket, timeoutMs, ...tls });
    await response.text();
    const { status } = response;
    const ok = status >= 200 && status < 400;
    return { ok, status, message: ok ? "" : `HTTP probe failed with statuscode: ${status}` };
  } catch (error) {
    return failed(error);
  }
}

export function probeTcp(host: Pick<Host, "net">, { ip, port, ...socket }: ProbePlace, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const connection = host.net.connect(
      { address: { ip, port }, ...socket, timeoutMs },
      {
        onConnect() {
          connection.destroy();
          resolve({ ok: true, message: "" });
        },
        onData() {},
        onEnd() {},
        onDrain() {},
        onClose(error) {
          resolve({ ok: false, message: error?.message ?? "closed" });
        },
      },
    );
  });
}

function failed(error: unknown): ProbeResult {
  return { ok: false, message: error instanceof Error ? error.message : String(error) };
}
