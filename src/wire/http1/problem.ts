/** Why a message is refused. `status` is what a server answers; `detail` is Envoy's response_code_details where it has one. */
export interface Http1Problem {
  readonly status: number;
  readonly detail: string;
  readonly text: string;
}

const problem = (status: number, detail: string, text: string): Http1Problem => ({ status, detail, text });

export const PROBLEMS = {
  bareLf: problem(400, "http1.codec_error", "line ends with LF without CR (RFC 9112 2.2)"),
  bareCr: problem(400, "http1.codec_error", "CR without LF (RFC 9112 2.2)"),
  badRequestLine: problem(400, "http1.codec_error", "request line is not METHOD SP TARGET SP HTTP/1.x (RFC 9112 3)"),
  badStatusLine: problem(502, "http1.codec_error", "status line is not HTTP/1.x SP CODE (RFC 9112 4)"),
  badMethod: problem(400, "http1.codec_error", "method has a character outside token (RFC 9110 5.6.2)"),
  unknownMethod: problem(400, "http1.codec_error", "method is none that is registered (http_protocol_options.allow_custom_methods)"),
  badTarget: problem(400, "http1.codec_error", "request target has a control character, a space or nothing"),
  badVersion: problem(505, "http1.codec_error", "HTTP version is not 1.0 or 1.1"),
  http10: problem(426, "low_version", "HTTP/1.0 is not accepted here (http_protocol_options.accept_http_10)"),
  badHeaderName: problem(400, "http1.codec_error", "header name is empty or has a character outside token (RFC 9110 5.1)"),
  spaceBeforeColon: problem(400, "http1.codec_error", "space between header name and colon (RFC 9112 5.1)"),
  noColon: problem(400, "http1.codec_error", "header line has no colon"),
  badHeaderValue: problem(400, "http1.codec_error", "header value has a control character (RFC 9110 5.5)"),
  obsFold: problem(400, "http1.codec_error", "header line begins with white space (obs-fold, RFC 9112 5.2)"),
  headTooLarge: problem(431, "http1.headers_too_large", "head is larger than the limit"),
  tooManyHeaders: problem(431, "http1.too_many_headers", "more headers than the limit"),
  badContentLength: problem(400, "http1.content_length_not_allowed", "content-length is not one decimal number"),
  lengthAndEncoding: problem(400, "http1.content_length_and_chunked_not_allowed", "content-length together with transfer-encoding (RFC 9112 6.1)"),
  badTransferEncoding: problem(501, "http1.invalid_transfer_encoding", "transfer-encoding is not exactly chunked"),
  encodingInHttp10: problem(400, "http1.transfer_encoding_not_allowed", "transfer-encoding in HTTP/1.0 (RFC 9112 6.1)"),
  noHost: problem(400, "missing_host_header", "HTTP/1.1 request without host (RFC 9112 3.2)"),
  badConnection: problem(400, "http1.connection_header_rejected", "connection names a header that identity or routing rests on"),
  manyHosts: problem(400, "http1.codec_error", "more than one host header (RFC 9112 3.2)"),
  badHost: problem(400, "invalid_host_header", "host has a character that no host has"),
  badChunkSize: problem(400, "http1.codec_error", "chunk size is not hexadecimal, or too large (RFC 9112 7.1)"),
  badChunkEnd: problem(400, "http1.codec_error", "chunk data is not followed by CRLF (RFC 9112 7.1)"),
  chunkExtensionTooLarge: problem(400, "http1.codec_error", "chunk extension is larger than the limit"),
  cutShort: problem(400, "http1.codec_error", "connection ended inside a message"),
} as const satisfies Record<string, Http1Problem>;
