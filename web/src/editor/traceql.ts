/** TraceQL for the editor: colours from the official grammar, completion of the attributes that exist. */
import { autocompletion } from "@codemirror/autocomplete";
import { LanguageSupport, LRLanguage } from "@codemirror/language";
import { parser } from "@grafana/lezer-traceql";
import { styleTags, tags as t } from "@lezer/highlight";

const language = LRLanguage.define({
  name: "traceql",
  parser: parser.configure({ props: [styleTags({ String: t.string, "Integer Float Duration": t.number, "Identifier AttributeField": t.labelName, LineComment: t.comment, "IntrinsicField Parent Resource Span": t.keyword })] }),
  languageData: { closeBrackets: { brackets: ["(", "{", '"', "`"] } },
});

const intrinsics = ["duration", "name", "status", "kind", "rootName", "rootServiceName", "traceDuration"];

export function traceql(tags: () => Promise<readonly string[]>): LanguageSupport {
  let known: Promise<readonly string[]> | undefined;
  return new LanguageSupport(language, [
    autocompletion({
      override: [
        async (context) => {
          const word = context.matchBefore(/[\w.]+/);
          if (word === null && !context.explicit) return null;
          known ??= tags().catch(() => []);
          const names = [...new Set([...intrinsics, ...(await known)])];
          return { from: word?.from ?? context.pos, options: names.map((label) => ({ label, type: "property" })), validFor: /^[\w.]*$/ };
        },
      ],
    }),
  ]);
}
