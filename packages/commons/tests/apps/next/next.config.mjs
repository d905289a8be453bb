// pino and OpenTelemetry are loaded by Node, not bundled.
export default { serverExternalPackages: ["@easymo/commons"], turbopack: { root: import.meta.dirname } };
