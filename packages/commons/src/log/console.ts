/** For services that still use `console`: their lines become the logger's. */
import { format } from "node:util";
import type { Logger } from "pino";

const LEVELS = { debug: "debug", log: "info", info: "info", warn: "warn", error: "error", trace: "trace" } as const;

type Method = keyof typeof LEVELS;

/**
 * Sends what is written with `console` to `logger`, at the method's level, with objects as fields. Returns a function
 * that takes the bridge away.
 */
export function bridgeConsole(logger: Logger, target: Console = globalThis.console): () => void {
  const methods = Object.keys(LEVELS) as Method[];
  const before = new Map(methods.map((method) => [method, target[method]]));
  for (const method of methods) {
    const level = LEVELS[method];
    target[method] = (...args: unknown[]) => {
      const { fields, message } = split(args);
      logger[level]({ ...fields, source: "console" }, "%s", message);
    };
  }
  return () => {
    for (const [method, original] of before) target[method] = original;
  };
}

/** `console.log("message", { … })`: the last argument's fields; errors as `err`; all else is the message. */
function split(args: readonly unknown[]): { fields: object; message: string } {
  const last = args.at(-1);
  const rest = args.slice(0, -1);
  if (last instanceof Error) return { fields: { err: last }, message: format(...rest, last.message) };
  const plain = typeof last === "object" && last !== null && Object.getPrototypeOf(last) === Object.prototype;
  // A placeholder of the message may want the object.
  if (plain && !/%[sdifjoOc]/.test(String(args[0]))) return { fields: last, message: format(...rest) };
  return { fields: {}, message: format(...args) };
}
