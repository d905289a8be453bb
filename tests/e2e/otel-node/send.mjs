// Sends one trace of two services with OpenTelemetry's SDK: `node send.mjs PROTOCOL ADDRESS` prints the trace's id.
import { SpanKind, SpanStatusCode, context, trace } from '@opentelemetry/api';
import { JaegerExporter } from '@opentelemetry/exporter-jaeger';
import { OTLPTraceExporter as OverGrpc } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as OverHttp } from '@opentelemetry/exporter-trace-otlp-proto';
import { ZipkinExporter } from '@opentelemetry/exporter-zipkin';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const [protocol, address] = process.argv.slice(2);

const exporters = {
  grpc: () => new OverGrpc({ url: address }),
  http: () => new OverHttp({ url: address }),
  gzip: () => new OverHttp({ url: address, compression: 'gzip' }),
  zipkin: () => new ZipkinExporter({ url: address }),
  jaeger: () => new JaegerExporter({ endpoint: address }),
};

const providers = [];

function tracer(service) {
  const resource = resourceFromAttributes({ 'service.name': service });
  const provider = new NodeTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(exporters[protocol]())] });
  providers.push(provider);
  return provider.getTracer('node-lib', '2.0');
}

const [front, back] = ['node-front', 'node-back'].map(tracer);
const call = front.startSpan('GET /ride', { kind: SpanKind.CLIENT, attributes: { 'http.response.status_code': 502, ratio: 0.5 } });
const serve = back.startSpan('serve', { kind: SpanKind.SERVER }, trace.setSpan(context.active(), call));
serve.addEvent('boom', { where: 'here' });
serve.setStatus({ code: SpanStatusCode.ERROR, message: 'bad' });
serve.end();
call.end();
for (const provider of providers) {
  await provider.forceFlush();
  await provider.shutdown();
}
console.log(call.spanContext().traceId);
