/** The product page's HTML. */

/** What another service answered. `why` is the mesh's reason for a refusal. */
export interface Part {
  readonly status: number;
  readonly body: unknown;
  readonly why?: string;
}

export interface PageFacts {
  readonly title: string;
  readonly description: string;
  readonly user: string | undefined;
  readonly details: Part;
  readonly reviews: Part;
}

interface Reviews {
  readonly podname: string;
  readonly reviews: readonly {
    readonly reviewer: string;
    readonly text: string;
    readonly rating?: { readonly stars?: number; readonly color?: string; readonly error?: string };
  }[];
}

const style = `
:root { color-scheme: light dark; --ink: #1d2733; --soft: #66758a; --line: #dfe5ec; --paper: #ffffff; --ground: #f4f6f9; --accent: #2a6fdb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf4; --soft: #98a6b8; --line: #2e3947; --paper: #1a212b; --ground: #12171e; --accent: #7aa9f5; } }
* { box-sizing: border-box } body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--ground) }
header { display: flex; gap: 1rem; align-items: center; justify-content: space-between; padding: .8rem 1.5rem; background: var(--paper); border-bottom: 1px solid var(--line) }
header strong { letter-spacing: .02em } form { display: flex; gap: .5rem; margin: 0 } input { font: inherit; padding: .3rem .6rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--ground); color: inherit; width: 9rem }
button { font: inherit; padding: .3rem .9rem; border: 0; border-radius: .4rem; background: var(--accent); color: #fff; cursor: pointer } a { color: var(--accent) }
main { max-width: 62rem; margin: 2rem auto; padding: 0 1.5rem } h1 { margin: 0 0 .4rem; font-size: 2rem } .lead { color: var(--soft); max-width: 44rem; margin: 0 0 1.6rem }
.columns { display: grid; grid-template-columns: 1fr 1.5fr; gap: 1.2rem } @media (max-width: 46rem) { .columns { grid-template-columns: 1fr } }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .7rem; padding: 1.2rem 1.4rem } h2 { margin: 0 0 .8rem; font-size: 1.1rem }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1.2rem; margin: 0 } dt { color: var(--soft) } dd { margin: 0 } blockquote { margin: 0 0 1.1rem } blockquote p { margin: 0 }
small, .from { color: var(--soft); font-size: .85rem } .stars { letter-spacing: .15em; font-size: 1.2rem } .red { color: #d43a3a } .black { color: var(--ink) } .none { opacity: .25 } .error { border-left: 3px solid #d43a3a; padding-left: .8rem }`;

export function page({ title, description, user, details, reviews }: PageFacts): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(title)} - Bookinfo</title><style>${style}</style></head>
<body><header><strong>Bookinfo</strong>${signIn(user)}</header>
<main><h1>${escape(title)}</h1><p class="lead">${escape(description)}</p>
<div class="columns"><section><h2>Book Details</h2>${detailsHtml(details)}</section><section><h2>Book Reviews</h2>${reviewsHtml(reviews)}</section></div></main></body></html>
`;
}

function signIn(user: string | undefined): string {
  if (user !== undefined) return `<span>${escape(user)} (<a href="/logout">sign out</a>)</span>`;
  return `<form method="post" action="/login"><input name="username" placeholder="jason" aria-label="User name"><button>Sign in</button></form>`;
}

function detailsHtml(part: Part): string {
  if (part.status !== 200) return problem("Error fetching product details!", part);
  const rows = Object.entries(part.body as Record<string, unknown>).filter(([name]) => name !== "id");
  return `<dl>${rows.map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(String(value))}</dd>`).join("")}</dl>`;
}

function reviewsHtml(part: Part): string {
  if (part.status !== 200) return problem("Error fetching product reviews!", part);
  const { podname, reviews } = part.body as Reviews;
  const quotes = reviews.map(
    ({ reviewer, text, rating }) => `<blockquote><p>${escape(text)}</p><small>${escape(reviewer)}</small>${stars(rating)}</blockquote>`,
  );
  return `${quotes.join("")}<p class="from">served by ${escape(podname)}</p>`;
}

function stars(rating: Reviews["reviews"][number]["rating"]): string {
  if (rating === undefined) return "";
  if (rating.stars === undefined) return `<p class="error">${escape(rating.error ?? "")}</p>`;
  const full = "★".repeat(rating.stars);
  const rest = "★".repeat(Math.max(0, 5 - rating.stars));
  return `<div class="stars ${escape(rating.color ?? "black")}" aria-label="${rating.stars} of 5">${full}<span class="none">${rest}</span></div>`;
}

function problem(text: string, part: Part): string {
  const { error } = part.body as { error?: string };
  return `<div class="error"><p>${escape(text)}</p><small>${escape(error ?? "")}${part.why === undefined ? "" : `<br>${escape(part.why)}`}</small></div>`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
