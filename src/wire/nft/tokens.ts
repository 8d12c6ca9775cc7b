/** Words, quoted texts and punctuation of nft text, one after another. */
export interface Token {
  readonly text: string;
  readonly quoted: boolean;
}

/** What was read is not what write.ts writes. */
export class NftSyntaxError extends Error {
  override readonly name = "NftSyntaxError";
}

export class Tokens {
  readonly #tokens: Token[] = [];
  #at = 0;

  constructor(text: string) {
    const pattern = /\s*(?:"([^"]*)"|(!=|[{};,=])|([^\s{};,="]+))/gy;
    let end = 0;
    for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
      end = pattern.lastIndex;
      this.#tokens.push({ text: found[1] ?? found[2] ?? found[3] ?? "", quoted: found[1] !== undefined });
    }
    if (text.slice(end).trim() !== "") throw new NftSyntaxError(`nft text cannot be read from ${JSON.stringify(text.slice(end, end + 40))} on`);
  }

  get done(): boolean {
    return this.#at >= this.#tokens.length;
  }

  /** The next words without taking them, joined by blanks; quoted ones are never among them. */
  startsWith(words: string): boolean {
    return words.split(" ").every((word, i) => {
      const token = this.#tokens[this.#at + i];
      return token !== undefined && !token.quoted && token.text === word;
    });
  }

  /** Takes these words if they come next. */
  take(words: string): boolean {
    if (!this.startsWith(words)) return false;
    this.#at += words.split(" ").length;
    return true;
  }

  expect(words: string): void {
    if (!this.take(words)) throw new NftSyntaxError(`nft text has ${JSON.stringify(this.#near())} where "${words}" should be`);
  }

  next(): string {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new NftSyntaxError("nft text ends too early");
    this.#at += 1;
    return token.text;
  }

  number(): number {
    const text = this.next();
    if (!/^-?[0-9]+$/.test(text)) throw new NftSyntaxError(`nft text has "${text}" where a number should be`);
    return Number(text);
  }

  oneOf<T extends string>(words: readonly T[], what: string): T {
    for (const word of words) if (this.take(word)) return word;
    throw new NftSyntaxError(`nft text has ${JSON.stringify(this.#near())} where ${what} should be`);
  }

  #near(): string {
    return this.#tokens
      .slice(this.#at, this.#at + 6)
      .map((token) => token.text)
      .join(" ");
  }
}
