import { Button, Drawer } from "@mantine/core";
import { useState } from "react";
import { dashboardVersion, dashboardVersions, restoreVersion, type Version } from "../../api/grafana";
import { wordsFor } from "../../api/http";
import { Empty, ErrorNote, Loading } from "../../components/Notes";
import { formatDateTime } from "../../model/time/format";
import { useLoad } from "../../state/useLoad";
import { Diff } from "./Diff";

function Compared({ uid, from, to }: { uid: string; from: number; to: number }) {
  const { data, error } = useLoad(`${uid} ${from} ${to}`, (signal) => Promise.all([dashboardVersion(uid, from, signal), dashboardVersion(uid, to, signal)]));
  if (error !== undefined) return <ErrorNote title="The versions could not be read" text={error} />;
  if (data === undefined) return <Loading what="the versions" />;
  return <Diff before={data[0]} after={data[1]} />;
}

/** The versions of a dashboard: what each changed, and the way back to one. */
export function Versions({ uid, canSave, onRestored, onClose }: { uid: string; canSave: boolean; onRestored: () => void; onClose: () => void }) {
  const { data, error, reload } = useLoad(uid, (signal) => dashboardVersions(uid, signal));
  const [open, setOpen] = useState<number>();
  const [failed, setFailed] = useState<string>();
  const list = data ?? [];
  const restore = async (v: Version) => {
    try {
      await restoreVersion(uid, v.version);
      onRestored();
    } catch (caught) {
      setFailed(wordsFor(caught));
    }
  };
  return (
    <Drawer opened onClose={onClose} position="right" size="xl" title="Versions">
      {(error ?? failed) !== undefined && <ErrorNote title="That did not work" text={error ?? failed ?? ""} onRetry={reload} />}
      {data === undefined && error === undefined && <Loading what="the versions" />}
      {data !== undefined && list.length === 0 && <Empty title="There are no versions">This dashboard was never saved here.</Empty>}
      {list.map((v, i) => {
        const before = list[i + 1];
        return (
          <div className="preview-line" key={v.version}>
            <div className="block-head">
              <strong>Version {v.version}</strong>
              <span className="muted" style={{ flex: 1 }}>{formatDateTime(Date.parse(v.created), "browser")}{v.createdBy !== "" && ` by ${v.createdBy}`}</span>
              {before !== undefined && <Button size="compact-sm" variant="default" aria-expanded={open === v.version} onClick={() => setOpen(open === v.version ? undefined : v.version)}>What changed</Button>}
              {i > 0 && canSave && <Button size="compact-sm" variant="default" onClick={() => void restore(v)}>Restore</Button>}
            </div>
            {v.message !== "" && <p style={{ margin: "0 0 6px" }}>{v.message}</p>}
            {open === v.version && before !== undefined && <Compared uid={uid} from={before.version} to={v.version} />}
          </div>
        );
      })}
    </Drawer>
  );
}
