import { expect, it } from "vitest";
import { fit, rankCommands } from "./commands";

it("ranks the beginning before a word, a word before a part, and a part before loose letters", () => {
  expect(["Logs overview", "EasyMO - Logs", "Catalogs", "Lo-o-gs"].map((t) => fit(t, "log"))).toEqual([4, 3, 2, 1]);
  expect(fit("Alerts", "xyz")).toBeUndefined();
  expect(fit("a(b", "(")).toBe(2);
  const list = ["Catalogs", "Logs", "Other"].map((title) => ({ title }));
  expect(rankCommands(list, "log").map((c) => c.title)).toEqual(["Logs", "Catalogs"]);
  expect(rankCommands(list, "")).toHaveLength(3);
});
