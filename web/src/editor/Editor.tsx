import { closeBrackets, closeBracketsKeymap, completionKeymap, acceptCompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, placeholder, tooltips } from "@codemirror/view";
import { tags as t } from "@lezer/highlight";
import { useEffect, useMemo, useRef } from "react";
import { lokiLabels, lokiLabelValues } from "../api/loki";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { logql } from "./logql";
import { traceTags } from "../api/tempo";
import { promql } from "./promql";
import { traceql } from "./traceql";

const colors = HighlightStyle.define([
  { tag: [t.keyword, t.modifier, t.operatorKeyword], color: "var(--syntax-keyword)" },
  { tag: [t.function(t.name), t.function(t.variableName)], color: "var(--syntax-function)" },
  { tag: t.string, color: "var(--syntax-string)" },
  { tag: [t.number, t.bool], color: "var(--syntax-number)" },
  { tag: t.labelName, color: "var(--syntax-label)" },
  { tag: t.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: t.invalid, color: "var(--bad)" },
]);

const look = EditorView.theme({
  "&": { backgroundColor: "transparent", color: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--accent) 25%, transparent) !important" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "8px", overflow: "hidden" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "color-mix(in srgb, var(--accent) 25%, transparent)", color: "var(--text)" },
  ".cm-completionDetail": { color: "var(--muted)" },
  ".cm-placeholder": { color: "var(--muted)" },
});

interface Props {
  value: string;
  source: DatasourceInfo;
  label: string;
  /** Variables of a dashboard may stand in it. */
  templated?: boolean;
  /** Enter runs; Shift+Enter begins a new line. */
  onRun: (text: string) => void;
  onChange: (text: string) => void;
}

export function Editor({ value, source, label, templated = false, onRun, onChange }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const latest = useRef({ onRun, onChange, value });
  useEffect(() => {
    latest.current = { onRun, onChange, value };
  });
  const language = useMemo(() => {
    if (source.type === "tempo") return traceql(() => traceTags(source));
    if (source.type !== "loki") return promql(source, templated);
    const lately = () => ({ from: Date.now() - 6 * 3_600_000, to: Date.now() });
    return logql({ names: () => lokiLabels(source, lately()), values: (l) => lokiLabelValues(source, l, lately()) });
  }, [source, templated]);

  useEffect(() => {
    const parent = host.current;
    if (parent === null) return;
    const run = (v: EditorView) => {
      latest.current.onRun(v.state.doc.toString());
      return true;
    };
    const made = new EditorView({
      parent,
      state: EditorState.create({
        doc: latest.current.value,
        extensions: [
          history(),
          bracketMatching(),
          closeBrackets(),
          language,
          syntaxHighlighting(colors),
          look,
          tooltips({ parent: document.body }),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "off" }),
          placeholder(source.type === "loki" ? '{service="…"} |= "text"' : source.type === "tempo" ? '{ status = error && duration > 500ms }, or a trace id' : "rate(metric[5m])"),
          Prec.highest(keymap.of([{ key: "Tab", run: acceptCompletion }, { key: "Ctrl-Enter", run }, { key: "Shift-Enter", run: insertNewlineAndIndent }])),
          // Below completion, which takes Enter for its own while it is open.
          keymap.of([...closeBracketsKeymap, ...completionKeymap, { key: "Enter", run }, ...defaultKeymap, ...historyKeymap, ...lintKeymap]),
          EditorView.updateListener.of((u) => {
            if (u.docChanged) latest.current.onChange(u.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = made;
    return () => {
      view.current = undefined;
      made.destroy();
    };
  }, [language, label, source.type]);

  useEffect(() => {
    const v = view.current;
    if (v === undefined || v.state.doc.toString() === value) return;
    v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: value } });
  }, [value]);

  return <div ref={host} className="editor" />;
}
