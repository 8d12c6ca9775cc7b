/** The repository checks itself: what reviewers would otherwise have to look for. Each failure says where, and what to do. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { VERSION } from "#cli/version.ts";
import { checkoutFiles } from "./checkout-files.ts";
import { root, runCommand } from "./run-command.ts";

const files = checkoutFiles();
const sources = files.filter(({ path }) => /^(src|sim|test|tools|bench|examples)\/.*\.ts$/.test(path));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const foldersOf = (path: string): readonly string[] =>
  readdirSync(join(root, path), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

/** Split, so that this file does not find itself. */
const word = (...parts: string[]): string => parts.join("");

interface Ban {
  readonly text: string | RegExp;
  readonly instead: string;
  readonly in?: RegExp;
  readonly except?: RegExp;
}

const CORE = /^src\/(lib|wire|model|compile|decide)\//;
const TESTS = /\.test\.ts$/;
const bans: readonly Ban[] = [
  { text: word("new Date", "()"), in: CORE, except: TESTS, instead: "take a Clock" },
  { text: word("FIX", "ME"), instead: "do it, or refuse it to the user in words" },
  { text: word("TO", "DO"), instead: "do it, or refuse it to the user in words" },
  { text: new RegExp(word("\\bas ", "any\\b[^ ]")), instead: "give it its type" },
  { text: word("@ts-", "ignore"), instead: "give it its type" },
  { text: word("@ts-", "expect-error"), instead: "give it its type" },
  { text: word("console", ".log"), in: /^(src|sim)\//, instead: "use run/log.ts, or the Terminal of a command" },
  // Below test/ there is no other way: the alias leads to src.
  { text: /from "\.\.\//, except: /^test\//, instead: 'import "#folder/file.ts"' },
];

function findings(ban: Ban): readonly string[] {
  return sources
    .filter(({ path }) => (ban.in?.test(path) ?? true) && ban.except?.test(path) !== true)
    .flatMap(({ path, lines }) =>
      lines.flatMap((line, index) =>
        (typeof ban.text === "string" ? line.includes(ban.text) : ban.text.test(line))
          ? [`${path}:${index + 1}: "${String(ban.text)}" is banned: ${ban.instead}`]
          : [],
      ),
    );
}

describe("source", () => {
  for (const ban of bans) test(`has no ${String(ban.text)}`, () => assert.deepEqual(findings(ban), []));

  test("has no file with a name that allows everything in", () => {
    const names = /(^|\/)(utils?|helpers?|common|misc|manager|types|index)\.ts$/;
    assert.deepEqual(
      sources.map(({ path }) => path).filter((path) => names.test(path)),
      [],
      "name a file after its one main export",
    );
  });

  test("names tests as sentences, not as issue numbers", () => {
    const numbered = sources
      .filter(({ path }) => TESTS.test(path))
      .flatMap(({ path, lines }) =>
        lines.filter((line) => /\b(test|it|describe)\(["'`](issue|bug|#)\s*[0-9]/i.test(line)).map((line) => `${path}: ${line.trim()}`),
      );
    assert.deepEqual(numbered, []);
  });

  test("begins each program's door with a comment on what it does and does not", () => {
    const doors = foldersOf("src")
      .map((folder) => `src/${folder}/${folder}.ts`)
      .filter((door) => existsSync(join(root, door)));
    const bare = doors.filter((door) => !/^\/\*\*\n( \*.*\n){4,}/.test(read(door)));
    assert.deepEqual(bare, [], "a door begins with a comment of 5 to 25 lines");
  });

  test("has golden files that fit on three screens", () => {
    const long = files.filter(({ path, lines }) => path.endsWith(".golden") && lines.length > 200).map(({ path, lines }) => `${path}: ${lines.length} lines`);
    assert.deepEqual(long, [], "make the case smaller, or cut it in two");
  });
});

describe("the repository", () => {
  test("names no folder of a developer's machine and no package registry", () => {
    const places = [
      word("/wo", "rk/"),
      word("/home", "/"),
      word("/Us", "ers/"),
      word("registry.", "npmjs"),
      word("registry.", "yarnpkg"),
      word("deb.", "debian.org"),
      word("proxy.", "golang.org"),
    ];
    // Home folders stand in made-up examples of tests; installed programs know theirs from the environment.
    const found = files.flatMap(({ path, lines }) =>
      lines.flatMap((line, index) =>
        places.filter((place) => line.includes(place) && !(place === word("/home", "/") && TESTS.test(path))).map((place) => `${path}:${index + 1}: ${place}`),
      ),
    );
    assert.deepEqual(found, []);
  });

  test("pins every dependency exactly", () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read("package.json")) as Record<string, Record<string, string>>;
    const loose = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies }).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
    assert.deepEqual(loose, []);
  });

  test("says one version", () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    assert.equal(VERSION, version);
    assert.match(read("CHANGELOG.md"), new RegExp(`^## ${version.replaceAll(".", "\\.")}`, "m"));
  });

  test("has the scripts that people are told to run, and continuous integration runs the tests and nothing else", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    for (const script of ["demo", "demo:once", "test", "test:long", "bench", "lint", "fmt"]) assert.ok(script in scripts, `npm run ${script}`);
    const commands = read(".ci/run")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    assert.deepEqual(commands, ['cd "$(dirname "$0")/.." && exec npm test']);
  });

  test("draws its map as its tree is", () => {
    const map = /^## The map\n[^]*?```text\n([^]*?)```/m.exec(read("ARCHITECTURE.md"))?.[1] ?? "";
    const drawn = [...map.matchAll(/^ {2}([a-z]+)\/ /gm)].map(([, name]) => name ?? "").sort();
    assert.deepEqual(drawn, [...foldersOf("src")].sort(), 'the folders below src in ARCHITECTURE.md, "The map"');
    const top = [...map.matchAll(/^([a-z]+)\/ /gm)].map(([, name]) => name ?? "");
    assert.deepEqual(
      top.filter((name) => !existsSync(join(root, name))),
      [],
    );
  });

  test("keeps decisions in one form", () => {
    const sections = ["Status", "Context", "Decision", "Consequences", "Rejected"];
    const folder = "docs/adr";
    const kept = readdirSync(join(root, folder)).filter((name) => name.endsWith(".md"));
    assert.equal(new Set(kept.map((file) => file.slice(0, 4))).size, kept.length, "two decisions have one number");
    for (const file of kept) {
      assert.match(file, /^\d{4}-[a-z0-9-]+\.md$/);
      assert.ok(read(`${folder}/${file}`).startsWith(`# ${file.slice(0, 4)} `), `${folder}/${file} calls itself by another number`);
      const found = [...read(`${folder}/${file}`).matchAll(/^## (.*)$/gm)].map(([, title]) => title);
      assert.deepEqual(found, sections, `${folder}/${file}`);
    }
  });
});

test("the folder rules see every file, and not nothing", async () => {
  const folders = ["src", "sim"].filter((folder) => existsSync(join(root, folder)));
  const report = await runCommand([
    "depcruise",
    "--output-type",
    "json",
    "--no-config",
    "--ts-pre-compilation-deps",
    "--ts-config",
    "tsconfig.json",
    "--exclude",
    "^src/wire/envoy/gen/",
    ...folders,
  ]);
  const { modules } = JSON.parse(report.output) as { modules: readonly { source: string }[] };
  const cruised = modules.map(({ source }) => source).filter((source) => /^(src|sim)\/.*\.ts$/.test(source));
  const present = sources.map(({ path }) => path).filter((path) => /^(src|sim)\//.test(path));
  assert.deepEqual([...cruised].sort(), [...present].sort());
});
