/** Facts about a book: GET /details/<id>. */
import { serve } from "./service.mts";

serve("details", {
  "GET /health": () => ({ body: { status: "Details is healthy" } }),
  "GET /details/": ({ rest }) => {
    const id = Number.parseInt(rest, 10);
    if (Number.isNaN(id)) return { status: 400, body: { error: "please provide numeric product id" } };
    return {
      body: {
        id,
        author: "William Shakespeare",
        year: 1595,
        type: "paperback",
        pages: 200,
        publisher: "PublisherA",
        language: "English",
        "ISBN-10": "1234567890",
        "ISBN-13": "123-1234567890",
      },
    };
  },
});
