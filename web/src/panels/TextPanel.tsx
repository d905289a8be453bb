import { Markdown } from "../components/Markdown";
import { asString } from "../model/json";
import type { PanelProps } from "./types";

export function TextPanel({ panel, text }: PanelProps) {
  const mode = asString(panel.options["mode"], "markdown");
  const content = text(asString(panel.options["content"]), "text");
  if (mode === "code") return <pre className="code">{content}</pre>;
  return <Markdown text={content} html={mode === "html"} />;
}
