import DOMPurify from "dompurify";
import { marked } from "marked";
import { useMemo } from "react";

/** A picture from another host would tell that host who reads this: it becomes a link. */
DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A" && node.getAttribute("target") === "_blank") node.setAttribute("rel", "noreferrer");
  if (node.nodeName !== "IMG") return;
  const src = node.getAttribute("src") ?? "";
  if (src.startsWith("data:image/") || new URL(src, document.baseURI).origin === window.location.origin) return;
  const link = document.createElement("a");
  link.href = src;
  link.textContent = node.getAttribute("alt") || src;
  node.replaceWith(link);
});

/** The only place where text becomes HTML: nothing that runs, submits, frames or loads from elsewhere by itself survives. */
export function sanitize(html: string): string {
  return DOMPurify.sanitize(html, { USE_PROFILES: { html: true, svg: true }, FORBID_TAGS: ["style", "form", "input", "button", "textarea", "select", "iframe"], FORBID_ATTR: ["style", "srcset"], ALLOW_DATA_ATTR: false });
}

export function Markdown({ text, html = false }: { text: string; html?: boolean }) {
  const safe = useMemo(() => sanitize(html ? text : marked.parse(text, { async: false, gfm: true, breaks: true })), [text, html]);
  return <div className="prose" dangerouslySetInnerHTML={{ __html: safe }} />;
}
