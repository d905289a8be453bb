/** A structured line as a person says it: the message, then what is particular about it. */
import { fieldsOfLine, parseJsonLine } from "./fields";
import { isObject } from "../json";

const messages = ["msg", "message", "log", "body", "event"];

/** What stands beside a line anyway, or says nothing to a reader. */
const usual = /^(?:level|severity|lvl|time|ts|timestamp|@timestamp|pid|hostname|host|v|name|service|app|environment|env|logger|(?:trace|span|request|otel\w*)_?id|traceID|spanID|event|err_stack|stack|detected_level)$/i;

const LONGEST = 60;

function shown(value: string): string {
  const text = value.length > LONGEST ? `${value.slice(0, LONGEST - 1)}…` : value;
  return /[\s="]/.test(text) ? JSON.stringify(text) : text;
}

/** Undefined when the line is not structured: then it is as readable as it gets. */
export function readableLine(line: string): string | undefined {
  const json = parseJsonLine(line);
  if (!isObject(json) && !/(?:^|\s)(?:msg|message)=/.test(line)) return undefined;
  const fields = fieldsOfLine(line);
  const key = messages.find((m) => fields[m] !== undefined && fields[m] !== "");
  if (key === undefined) return undefined;
  const rest = Object.entries(fields).filter(([k, v]) => k !== key && !usual.test(k) && v !== "");
  return [fields[key] ?? "", ...rest.map(([k, v]) => `${k}=${shown(v)}`)].join("  ");
}
