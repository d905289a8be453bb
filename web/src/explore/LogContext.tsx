import { Button, Modal } from "@mantine/core";
import { useState } from "react";
import { lokiRange } from "../api/loki";
import { LogLines } from "../components/LogLines";
import { ErrorNote, Loading } from "../components/Notes";
import type { DatasourceInfo } from "../model/dashboard/datasource";
import { logRows, type LogRow } from "../model/data/loki";
import { streamSelector } from "../model/query/logql";
import { useIsDark } from "../state/scheme";
import { useLoad } from "../state/useLoad";

const HOUR_NS = 3_600_000_000_000n;

/** The lines before and after one, of the same stream, whatever the query filtered. */
export function LogContext({ source, row, zone, onClose }: { source: DatasourceInfo; row: LogRow; zone: string; onClose: () => void }) {
  const isDark = useIsDark();
  const [count, setCount] = useState(20);
  const { data, error } = useLoad(`${row.id} ${count}`, async (signal) => {
    const query = streamSelector(row.labels);
    const at = BigInt(row.tsNs);
    const ask = async (start: bigint, end: bigint, direction: "forward" | "backward") => {
      const answer = await lokiRange(source, { query, start: String(start), end: String(end), limit: count, direction }, signal);
      return answer.data.resultType === "streams" ? answer.data.result : [];
    };
    // The end is exclusive and the start inclusive: together nothing is missed and nothing comes twice.
    const [before, after] = await Promise.all([ask(at - HOUR_NS, at, "backward"), ask(at, at + HOUR_NS, "forward")]);
    return logRows([...before, ...after]);
  });
  const marked = data?.find((r) => r.tsNs === row.tsNs && r.line === row.line)?.id;
  return (
    <Modal opened onClose={onClose} title="Lines around this one" size="90%">
      <p className="mono muted">{streamSelector(row.labels)}</p>
      {error !== undefined && <ErrorNote title="The lines could not be read" text={error} />}
      {data === undefined && error === undefined && <Loading what="the lines" />}
      {data !== undefined && <div style={{ height: "60vh" }}><LogLines rows={data} zone={zone} isDark={isDark} wrap {...(marked === undefined ? {} : { marked })} /></div>}
      <Button mt="sm" variant="default" onClick={() => setCount(count + 50)}>Show more of both sides</Button>
    </Modal>
  );
}
