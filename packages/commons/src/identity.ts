/** Who this process is, for whatever was not told: shared by the two builds of this package. */

const KEY = Symbol.for("easymo.commons.service");
const holder = globalThis as { [KEY]?: string };

/** The name of this service: that of `init` or of its first registry, else what the environment says. */
export function defaultService(): string {
  return holder[KEY] ?? (process.env["OTEL_SERVICE_NAME"] || process.env["SERVICE_NAME"] || "unknown-service");
}

/** Remembers the name that the service gave itself; the first one counts. */
export function rememberService(service: string): void {
  holder[KEY] ??= service;
}

/** The environment that the process says it runs in. */
export function defaultEnvironment(): string {
  return process.env["ENVIRONMENT"] || process.env["NODE_ENV"] || "development";
}
