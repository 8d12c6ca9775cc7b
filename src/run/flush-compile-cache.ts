/**
 * Preloaded into the cluster's programs: writes compiled code to Node's cache soon after the start, and not only at the
 * end, because programs mostly end with their pid namespace. Does nothing when no cache is set (NODE_COMPILE_CACHE).
 */
import { flushCompileCache } from "node:module";

/** After the modules of the start are loaded, before anything interesting happens. */
const FLUSH_AFTER_MS = 4000;

setTimeout(flushCompileCache, FLUSH_AFTER_MS).unref();
