/**
 * Reviews of a book: GET /reviews/<id>. SERVICE_VERSION v1 shows no stars; v2 asks the ratings service and shows black
 * ones, v3 red ones (ENABLE_RATINGS and STAR_COLOR say so too, as in upstream's images).
 */
import { hostname } from "node:os";
import { call, carriedHeaders, serve, type Asked } from "./service.mts";

const version = process.env["SERVICE_VERSION"] ?? "v1";
const withStars = process.env["ENABLE_RATINGS"] === undefined ? version !== "v1" : process.env["ENABLE_RATINGS"] === "true";
const color = process.env["STAR_COLOR"] ?? (version === "v3" ? "red" : "black");
// As upstream's: the version with black stars is the patient one.
const timeoutMs = color === "black" ? 10_000 : 2_500;

const texts = [
  { reviewer: "Reviewer1", text: "Two pairs of twins, one town, and nobody thinks of asking. I laughed on every page." },
  { reviewer: "Reviewer2", text: "Short, quick and silly in the best way. Read it aloud, with a friend for the second twin." },
];

type Rating = { readonly stars: number; readonly color: string } | { readonly error: string };

async function ratingsOf(id: number, asked: Asked): Promise<(reviewer: string) => Rating> {
  try {
    const { status, body } = await call("ratings", `/ratings/${id}`, { headers: carriedHeaders(asked.headers), timeoutMs });
    if (status !== 200) return () => ({ error: `Ratings service is currently unavailable (it answered ${status})` });
    const { ratings } = JSON.parse(body) as { ratings: Record<string, number> };
    return (reviewer) => ({ stars: ratings[reviewer] ?? 0, color });
  } catch (error) {
    return () => ({ error: `Ratings service is currently unavailable (${error instanceof Error ? error.message : String(error)})` });
  }
}

serve(`reviews-${version}`, {
  "GET /health": () => ({ body: { status: "Reviews is healthy" } }),
  "GET /reviews/": async (asked) => {
    const id = Number.parseInt(asked.rest, 10);
    if (Number.isNaN(id)) return { status: 400, body: { error: "please provide numeric product ID" } };
    const rating = withStars ? await ratingsOf(id, asked) : undefined;
    const reviews = texts.map((each) => (rating === undefined ? each : { ...each, rating: rating(each.reviewer) }));
    return { body: { id: String(id), podname: hostname(), clustername: process.env["CLUSTER_NAME"] ?? "null", reviews } };
  },
});
