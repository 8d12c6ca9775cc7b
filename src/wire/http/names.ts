/** Header names that the codecs and the proxy itself ask for. */
import { headerName } from "./header-name.ts";

export const HOST = headerName("host");
export const CONTENT_LENGTH = headerName("content-length");
export const CONTENT_TYPE = headerName("content-type");
export const TRANSFER_ENCODING = headerName("transfer-encoding");
export const CONNECTION = headerName("connection");
export const KEEP_ALIVE = headerName("keep-alive");
export const PROXY_CONNECTION = headerName("proxy-connection");
export const UPGRADE = headerName("upgrade");
export const HTTP2_SETTINGS = headerName("http2-settings");
export const TE = headerName("te");
export const EXPECT = headerName("expect");
export const DATE = headerName("date");
export const SERVER = headerName("server");
export const LOCATION = headerName("location");
