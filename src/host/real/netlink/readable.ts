/**
 * Calls back when a descriptor that Node has no class for can be read (netlink, packet sockets): a uv_poll handle on
 * Node's own loop, reached by FFI. It does not keep the process alive.
 */
import { foreign } from "#host/real/libc.ts";

const UV_POLL = 8;
const UV_READABLE = 1;

type Pointer = unknown;

interface Uv {
  readonly koffi: ReturnType<typeof foreign>["koffi"];
  uv_default_loop(): Pointer;
  uv_handle_size(kind: number): number;
  uv_poll_init(loop: Pointer, handle: Pointer, fd: number): number;
  uv_poll_start(handle: Pointer, events: number, callback: Pointer): number;
  uv_poll_stop(handle: Pointer): number;
  uv_unref(handle: Pointer): void;
  uv_close(handle: Pointer, callback: Pointer): void;
}

let loaded: Uv | undefined;

function uv(): Uv {
  if (loaded !== undefined) return loaded;
  const { koffi, declare } = foreign();
  koffi.proto("void weft_poll_callback(void *handle, int status, int events)");
  koffi.proto("void weft_close_callback(void *handle)");
  loaded = {
    koffi,
    uv_default_loop: declare("void *uv_default_loop()"),
    uv_handle_size: declare("size_t uv_handle_size(int kind)"),
    uv_poll_init: declare("int uv_poll_init(void *loop, void *handle, int fd)"),
    uv_poll_start: declare("int uv_poll_start(void *handle, int events, weft_poll_callback *callback)"),
    uv_poll_stop: declare("int uv_poll_stop(void *handle)"),
    uv_unref: declare("void uv_unref(void *handle)"),
    uv_close: declare("void uv_close(void *handle, weft_close_callback *callback)"),
  };
  return loaded;
}

/** `closed` runs when the handle is gone and the descriptor may be closed. */
export function watchReadable(fd: number, readable: () => void): { close(closed: () => void): void } {
  const c = uv();
  const handle: Pointer = c.koffi.alloc("char", c.uv_handle_size(UV_POLL));
  // The callback comes from C, outside of Node's own scopes: the work is done in a turn of its own.
  let scheduled: NodeJS.Immediate | undefined;
  const onReadable = c.koffi.register(() => {
    scheduled ??= setImmediate(() => {
      scheduled = undefined;
      readable();
    });
  }, c.koffi.pointer("weft_poll_callback"));
  c.uv_poll_init(c.uv_default_loop(), handle, fd);
  c.uv_poll_start(handle, UV_READABLE, onReadable);
  c.uv_unref(handle);
  return {
    close(closed) {
      if (scheduled !== undefined) clearImmediate(scheduled);
      c.uv_poll_stop(handle);
      const onClosed = c.koffi.register(() => {
        setImmediate(() => {
          c.koffi.unregister(onReadable);
          c.koffi.unregister(onClosed);
          c.koffi.free(handle);
        });
      }, c.koffi.pointer("weft_close_callback"));
      c.uv_close(handle, onClosed);
      closed();
    },
  };
}
