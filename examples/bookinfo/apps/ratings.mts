/** Stars of each reviewer: GET /ratings/<id>; PUT /ratings/<id> changes them for as long as this process lives. */
import { serve, type Asked, type Answer } from "./service.mts";

const initial = { Reviewer1: 5, Reviewer2: 4 };
const changed = new Map<number, object>();

function productOf(asked: Asked): number {
  return Number.parseInt(asked.rest, 10);
}

const noNumber: Answer = { status: 400, body: { error: "please provide numeric product ID" } };

serve("ratings", {
  "GET /health": () => ({ body: { status: "Ratings is healthy" } }),
  "GET /ratings/": (asked) => {
    const id = productOf(asked);
    return Number.isNaN(id) ? noNumber : { body: { id, ratings: changed.get(id) ?? initial } };
  },
  "PUT /ratings/": async (asked) => {
    const id = productOf(asked);
    if (Number.isNaN(id)) return noNumber;
    try {
      changed.set(id, JSON.parse(await asked.body()) as object);
    } catch {
      return { status: 400, body: { error: "please provide valid ratings JSON" } };
    }
    return { body: { id, ratings: changed.get(id) ?? initial } };
  },
});
