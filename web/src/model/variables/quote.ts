/** A plain value inside quotes of either kind. */
export const fixedQuote = (text: string): string => text.replace(/\\/g, "\\\\").replace(/'/g, "\\'").replace(/"/g, '\\"');
