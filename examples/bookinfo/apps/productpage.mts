/**
 * The page people open: /productpage puts details and reviews together. /api/v1/products gives the same as JSON. Signing in
 * is a name in a cookie and no more; the name goes to the other services as the header `end-user`.
 */
import { page, type PageFacts, type Part } from "./page.mts";
import { call, carriedHeaders, serve, type Answer, type Asked } from "./service.mts";

const products = [
  {
    id: 0,
    title: "The Comedy of Errors",
    descriptionHtml:
      "Twins who were parted as children, each with a servant who is a twin as well, are in the same town for a day without knowing it. One of Shakespeare's first plays, and his shortest.",
  },
];

const timeoutMs = 3_000;

function userOf(asked: Asked): string | undefined {
  const cookie = /(?:^|;\s*)bookinfo-user=([^;]*)/.exec(asked.headers.cookie ?? "")?.[1];
  const header = asked.headers["end-user"];
  return cookie === undefined || cookie === "" ? (typeof header === "string" ? header : undefined) : decodeURIComponent(cookie);
}

function headersFor(asked: Asked): Record<string, string> {
  const user = userOf(asked);
  return { ...carriedHeaders(asked.headers), ...(user === undefined ? {} : { "end-user": user }) };
}

/** A service that does not answer leaves a hole in the page, not an error page. */
async function part(asked: Asked, service: string, path: string, tries = 1): Promise<Part> {
  let last: Part = { status: 503, body: { error: `no answer from ${service}` } };
  for (let attempt = 0; attempt < tries; attempt++) {
    try {
      const { status, body, headers } = await call(service, path, { headers: headersFor(asked), timeoutMs });
      const why = headers["x-weft-why"];
      if (status === 200) return { status, body: JSON.parse(body) as unknown };
      last = { status, body: { error: `${service} answered ${status}: ${body.trim()}` }, ...(typeof why === "string" ? { why } : {}) };
    } catch (error) {
      last = { status: 503, body: { error: error instanceof Error ? error.message : String(error) } };
    }
  }
  return last;
}

function asJson({ status, body, why }: Part): Answer {
  return { status, body: body as object, ...(why === undefined ? {} : { headers: { "x-weft-why": why } }) };
}

async function productPage(asked: Asked): Promise<Answer> {
  const [details, reviews] = await Promise.all([part(asked, "details", "/details/0"), part(asked, "reviews", "/reviews/0", 2)]);
  const product = products[0];
  const facts: PageFacts = { title: product?.title ?? "", description: product?.descriptionHtml ?? "", user: userOf(asked), details, reviews };
  return { body: page(facts) };
}

function api(asked: Asked): Answer | Promise<Answer> {
  const [id = "", what] = asked.rest.split("/");
  if (!/^\d+$/.test(id)) return { status: 400, body: { error: "please provide numeric product id" } };
  if (what === "reviews") return part(asked, "reviews", `/reviews/${id}`, 2).then(asJson);
  if (what === "ratings") return part(asked, "ratings", `/ratings/${id}`).then(asJson);
  if (what !== undefined && what !== "") return { status: 404, body: { error: `a product has no ${what}` } };
  return part(asked, "details", `/details/${id}`).then(asJson);
}

function backTo(asked: Asked, cookie: string): Answer {
  const { pathname } = new URL(asked.headers.referer ?? "/productpage", "http://service");
  return {
    status: 302,
    headers: { location: pathname === "/" ? "/productpage" : pathname, "set-cookie": `bookinfo-user=${cookie}; Path=/; HttpOnly; SameSite=Lax` },
    body: "",
  };
}

serve("productpage", {
  "GET /health": () => ({ body: "Product page is healthy" }),
  "GET /": () => ({ status: 302, headers: { location: "/productpage" }, body: "" }),
  "GET /productpage": productPage,
  "GET /api/v1/products": () => ({ body: products }),
  "GET /api/v1/products/": api,
  "POST /login": async (asked) => backTo(asked, encodeURIComponent(new URLSearchParams(await asked.body()).get("username") ?? "")),
  "GET /logout": (asked) => backTo(asked, "; Max-Age=0"),
  "GET /metrics": () => ({
    headers: { "content-type": "text/plain; version=0.0.4" },
    body: "# TYPE process_uptime_seconds gauge\n" + `process_uptime_seconds ${process.uptime()}\n`,
  }),
});
