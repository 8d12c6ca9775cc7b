/** As package.json says; a test compares. */
export const VERSION = "0.1.0";
