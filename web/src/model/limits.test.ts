import { expect, it } from "vitest";
import { byNearness, nearness, type Limit } from "./limits";

const limit = (name: string, more: Partial<Limit>): Limit => ({ name, what: "", unit: "short", ...more });

it("limits stand in the order of their nearness", () => {
  const list = [limit("none", { now: 5 }), limit("far", { now: 1, limit: 10 }), limit("reached", { now: 10, limit: 10 }), limit("each", { limit: 4 }), limit("near", { now: 8, limit: 10 }), limit("half", { now: 5, limit: 10 })];
  expect(byNearness(list).map((l) => l.name)).toEqual(["reached", "near", "half", "far", "each", "none"]);
  expect(list.map(nearness)).toEqual(["open", "far", "reached", "open", "near", "far"]);
});
