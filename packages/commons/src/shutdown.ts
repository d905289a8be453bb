/** Ends a service so that nothing is lost: answers under way are given, spans and lines are sent. */
import type { Logger } from "pino";
import type { Tracing } from "./trace/init.js";

export interface ShutdownOptions {
  /** Is closed first: no new requests, those under way are answered. */
  readonly server?: { close(done: (error?: Error) => void): unknown; closeIdleConnections?: () => void };
  /** Run next, in order: database pools, queues. */
  readonly steps?: readonly (() => unknown)[];
  /** Flushed last. */
  readonly tracing?: Tracing;
  readonly logger?: Logger;
  /** How long each part may take; 5,000 if left out. */
  readonly timeoutMs?: number;
  /** SIGTERM and SIGINT if left out. */
  readonly signals?: readonly NodeJS.Signals[];
  /** Ends the process; `process.exit` if left out. */
  readonly exit?: (code: number) => void;
}

/**
 * Shuts the service down in order when it is told to end. Returns the function that does it, for those who end
 * otherwise; whoever calls it twice waits for the same.
 */
export function gracefulShutdown(options: ShutdownOptions = {}): () => Promise<void> {
  const { signals = ["SIGTERM", "SIGINT"], exit = (code) => process.exit(code) } = options;
  let running: Promise<boolean> | undefined;
  const run = (): Promise<boolean> => (running ??= shutDown(options));
  const onSignal = (): void => void run().then((clean) => exit(clean ? 0 : 1));
  for (const signal of signals) process.once(signal, onSignal);
  return async () => {
    for (const signal of signals) process.removeListener(signal, onSignal);
    await run();
  };
}

async function shutDown({ server, steps = [], tracing, logger, timeoutMs = 5_000 }: ShutdownOptions): Promise<boolean> {
  let clean = true;
  const part = async (name: string, work: () => unknown): Promise<void> => {
    try {
      await within(timeoutMs, name, work);
    } catch (error) {
      clean = false;
      logger?.error({ err: error }, "%s did not end well", name);
    }
  };
  if (server !== undefined) {
    await part("the server", () => {
      const closed = new Promise<void>((done, failed) => server.close((error) => (error ? failed(error) : done())));
      server.closeIdleConnections?.();
      return closed;
    });
  }
  for (const [at, step] of steps.entries()) await part(`step ${at + 1}`, step);
  if (tracing !== undefined) await part("tracing", () => tracing.shutdown());
  if (logger !== undefined) await part("the log", () => new Promise<void>((done) => logger.flush(() => done())));
  return clean;
}

async function within(timeoutMs: number, name: string, work: () => unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, failed) => {
    timer = setTimeout(() => failed(new Error(`${name} took more than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([Promise.resolve().then(work), late]);
  } finally {
    clearTimeout(timer);
  }
}
