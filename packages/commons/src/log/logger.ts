/** Structured logs: one JSON object a line, in pino's shape, with the trace they belong to and nobody's data. */
import { format } from "node:util";
import { type Bindings, type DestinationStream, type Logger, type LoggerOptions, pino } from "pino";
import { defaultEnvironment, defaultService } from "../identity.js";
import { activeTrace } from "../trace/context.js";
import { maskFields, maskPii, maskText } from "./mask.js";

export interface LogOptions {
  /** The field `service`; the name given to `init`, else `OTEL_SERVICE_NAME`, else `SERVICE_NAME`. */
  readonly service?: string;
  /** The field `environment`; as in metrics. */
  readonly environment?: string;
  /** The lowest level that is written; `LOG_LEVEL`, else `info`. */
  readonly level?: string;
  /** Where lines go; the standard output if left out. */
  readonly destination?: DestinationStream;
}

const KEY = Symbol.for("easymo.commons.logger");
const holder = globalThis as { [KEY]?: Logger };

/**
 * A logger of one's own. Lines have pino's fields (`level` as its number, `time` in milliseconds, `pid`, `hostname`,
 * `msg`), `service`, `environment`, and `trace_id` and `span_id` of the active span.
 */
export function createLogger(options: LogOptions = {}): Logger {
  const environment = options.environment ?? defaultEnvironment();
  const settings: LoggerOptions = {
    level: options.level ?? (process.env["LOG_LEVEL"] || "info"),
    // Asked at every line: loggers are made when modules load, often before the service has said its name.
    mixin: () => ({ service: options.service ?? defaultService(), environment, ...traceFields() }),
    // Errors are made plain, and masked, before pino sees them.
    serializers: { err: (error: unknown) => error },
    hooks: {
      logMethod(args: unknown[], method) {
        Reflect.apply(method, this, maskedArguments(args));
      },
    },
  };
  return maskingBindings(options.destination === undefined ? pino(settings) : pino(settings, options.destination));
}

/** The logger of a part of the service; `bindings`, or the part's name as `module`, stand in each of its lines. */
export function childLogger(bindings: string | Bindings = {}): Logger {
  holder[KEY] ??= createLogger();
  return holder[KEY].child(typeof bindings === "string" ? { module: bindings } : bindings);
}

/** Makes `logger` the one whose children `childLogger` gives from now on. */
export function setDefaultLogger(logger: Logger): void {
  holder[KEY] = logger;
}

/** pino formats the bindings of a root logger only; children inherit these methods. */
function maskingBindings(logger: Logger): Logger {
  const { child, setBindings } = logger;
  logger.child = function (this: Logger, bindings: Bindings, options?: object) {
    return Reflect.apply(child, this, [maskFields(bindings), options]) as Logger;
  } as unknown as typeof child;
  logger.setBindings = function (this: Logger, bindings: Bindings) {
    Reflect.apply(setBindings, this, [maskFields(bindings)]);
  };
  return logger;
}

function traceFields(): object {
  const here = activeTrace();
  return here === undefined ? {} : { trace_id: here.traceId, span_id: here.spanId };
}

/** pino's arguments, `([fields | error,] message, ...values)`, masked and with the values put into the message. */
function maskedArguments(args: unknown[]): [object | string, ...string[]] {
  const [first, ...rest] = args;
  if (typeof first !== "object" || first === null) return [maskText(format(...args))];
  const message = rest.length === 0 ? [] : [maskText(format(...rest))];
  if (first instanceof Error) return [{ err: maskPii(first) }, ...(message.length > 0 ? message : [maskText(first.message)])];
  return [Array.isArray(first) ? { items: maskPii(first) } : (maskPii(first) as object), ...message];
}
