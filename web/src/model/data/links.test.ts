import { expect, test } from "vitest";
import { emptyConfig, type Frame } from "./frame";
import { linkTemplate } from "./links";

const value = { name: "Value", type: "number" as const, values: [1.5], labels: { service: "a b", "le-x": "1" }, config: emptyConfig };
const frame: Frame = { refId: "A", fields: [{ name: "route", type: "string", values: ["/x?y"], config: emptyConfig }, value] };
const about = { field: value, frame, all: [frame], row: 0, shown: "1.5 s", timeMs: 1000 };

test("a link takes the value, its time, its text, its labels and the other columns of its row", () => {
  expect(linkTemplate("/d/x?v=${__value.raw}&t=${__value.time}&s=${__value.text}", about)).toBe("/d/x?v=1.5&t=1000&s=1.5%20s");
  expect(linkTemplate("${__field.labels.service}|${__field.labels.service:raw}|${__field.labels[\"le-x\"]}", about)).toBe("a%20b|a b|1");
  expect(linkTemplate("${__data.fields.route}|${__data.fields[0]:raw}|${__data.fields[\"route\"]}", about)).toBe("%2Fx%3Fy|/x?y|%2Fx%3Fy");
});

test("what a link does not know stays for the variables", () => {
  expect(linkTemplate("${service}&${__url_time_range}&${__field.other}", about)).toBe("${service}&${__url_time_range}&${__field.other}");
});
