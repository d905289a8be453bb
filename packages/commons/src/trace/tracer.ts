/** The tracer of this process, once `init` was called; shared by the two builds of this package. */
import type { Tracer } from "@opentelemetry/api";

const KEY = Symbol.for("easymo.commons.tracer");
const holder = globalThis as { [KEY]?: Tracer | undefined };

/** The tracer that `init` made; nothing before it or after its shutdown. */
export function tracer(): Tracer | undefined {
  return holder[KEY];
}

export function setTracer(made: Tracer | undefined): void {
  holder[KEY] = made;
}
