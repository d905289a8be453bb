/** LogQL for the editor: colours from the official grammar, completion from the labels that exist. */
import { autocompletion, type Completion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { LanguageSupport, LRLanguage, syntaxTree } from "@codemirror/language";
import { parser } from "@grafana/lezer-logql";
import { styleTags, tags as t } from "@lezer/highlight";

const language = LRLanguage.define({
  name: "logql",
  parser: parser.configure({
    props: [
      styleTags({
        LineComment: t.comment,
        "Identifier LabelName": t.labelName,
        String: t.string,
        "Number Duration Bytes": t.number,
        "Json Logfmt Pattern Regexp Unpack Unwrap LabelFormat LineFormat Decolorize Drop Keep By Without On Ignoring GroupLeft GroupRight Offset Bool Ip": t.keyword,
        "Rate CountOverTime BytesRate BytesOverTime SumOverTime AvgOverTime MinOverTime MaxOverTime QuantileOverTime FirstOverTime LastOverTime AbsentOverTime StddevOverTime StdvarOverTime RateCounter Sum Avg Count Min Max Topk Bottomk Stddev Stdvar Sort Sort_Desc Vector LabelReplace": t.function(t.name),
        "PipeExact PipeMatch Pipe Eq Neq Re Nre Eql Gtr Gte Lss Lte And Or Unless Add Sub Mul Div Mod Pow": t.operator,
      }),
    ],
  }),
  languageData: { commentTokens: { line: "#" }, closeBrackets: { brackets: ["(", "[", "{", '"', "`"] } },
});

export interface LogLabels {
  names: () => Promise<readonly string[]>;
  values: (label: string) => Promise<readonly string[]>;
}

const keyword = (label: string, detail: string): Completion => ({ label, detail, type: "keyword" });
const stages = [
  keyword("json", "fields of JSON"), keyword("logfmt", "fields of key=value"), keyword("pattern", 'pattern "<a> <b>"'), keyword("regexp", "named groups"), keyword("unpack", "packed labels"),
  keyword("line_format", "write the line anew"), keyword("label_format", "rename labels"), keyword("unwrap", "a label as the number"), keyword("decolorize", "without terminal colours"), keyword("drop", "labels"), keyword("keep", "labels"),
];
const functions = ["rate", "count_over_time", "bytes_rate", "bytes_over_time", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "quantile_over_time", "first_over_time", "last_over_time", "absent_over_time", "sum", "avg", "count", "min", "max", "topk", "bottomk", "sort", "sort_desc"]
  .map((label): Completion => ({ label, type: "function", apply: `${label}(` }));

async function complete(context: CompletionContext, labels: LogLabels): Promise<CompletionResult | null> {
  const before = context.state.sliceDoc(0, context.pos);
  const value = /([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)\s*"([^"]*)$/.exec(before);
  const inSelector = before.lastIndexOf("{") > before.lastIndexOf("}");
  if (value !== null && inSelector) {
    const list = await labels.values(value[1] ?? "").catch(() => []);
    return { from: context.pos - (value[2] ?? "").length, options: list.map((label) => ({ label, type: "constant" })), validFor: /^[^"]*$/ };
  }
  const word = context.matchBefore(/\w*/);
  if (word === null || (word.from === word.to && !context.explicit && !/[{,|]\s*$/.test(before))) return null;
  if (syntaxTree(context.state).resolveInner(context.pos, -1).name === "String") return null;
  if (inSelector) {
    const list = await labels.names().catch(() => []);
    return { from: word.from, options: list.map((label): Completion => ({ label, type: "property", apply: `${label}="` })), validFor: /^\w*$/ };
  }
  return { from: word.from, options: /\|\s*\w*$/.test(before) ? stages : functions, validFor: /^\w*$/ };
}

export function logql(labels: LogLabels): LanguageSupport {
  return new LanguageSupport(language, [autocompletion({ override: [(context) => complete(context, labels)] })]);
}
