import { Modal, TextInput } from "@mantine/core";
import { useEffect, useMemo, useRef, useState } from "react";
import { searchDashboards } from "../api/grafana";
import { rankCommands } from "../model/commands";
import { navigate } from "../state/location";
import { useLoad } from "../state/useLoad";
import { Icon, type IconName } from "./Icon";

export interface Command {
  title: string;
  group: string;
  icon: IconName;
  keys?: string;
  run: () => void;
}

/** Everything that can be gone to or done, by typing a part of its name. */
export function Palette({ commands, onClose }: { commands: readonly Command[]; onClose: () => void }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const { data } = useLoad("palette", (signal) => searchDashboards({ type: "dash-db" }, signal).catch(() => []));
  const shown = useMemo(() => {
    const boards = (data ?? []).map((d): Command => ({ title: d.title, group: d.folderTitle || "Dashboards", icon: "dashboard", run: () => navigate(d.url) }));
    return rankCommands([...commands, ...boards], text).slice(0, 50);
  }, [commands, data, text]);
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const run = (command: Command | undefined) => {
    if (command === undefined) return;
    onClose();
    command.run();
  };
  return (
    <Modal opened onClose={onClose} withCloseButton={false} size="lg" padding={0} yOffset="12vh" centered={false} aria-label="Go to or do">
      <TextInput aria-label="Go to or do" placeholder="Go to a dashboard or page, or do something" leftSection={<Icon name="search" size={17} />} value={text} data-autofocus variant="unstyled" size="md" px="xs"
        role="combobox" aria-expanded aria-controls="palette-list" aria-activedescendant={shown[chosen] === undefined ? undefined : `palette-${chosen}`}
        onChange={(e) => { setText(e.currentTarget.value); setChosen(0); }}
        onKeyDown={(e) => {
          if (e.key === "ArrowDown") setChosen((n) => Math.min(shown.length - 1, n + 1));
          else if (e.key === "ArrowUp") setChosen((n) => Math.max(0, n - 1));
          else if (e.key === "Enter") run(shown[chosen]);
          else return;
          e.preventDefault();
        }}
      />
      <div className="palette" id="palette-list" role="listbox" aria-label="What fits" ref={list}>
        {shown.map((c, i) => (
          <div key={`${c.group} ${c.title} ${i}`} id={`palette-${i}`} role="option" aria-selected={i === chosen} className="palette-line" onMouseMove={() => setChosen(i)} onClick={() => run(c)}>
            <Icon name={c.icon} size={17} />
            <span>{c.title}</span>
            <span className="muted">{c.keys ?? c.group}</span>
          </div>
        ))}
        {shown.length === 0 && <p className="muted" style={{ padding: "8px 14px" }}>Nothing is called that.</p>}
      </div>
    </Modal>
  );
}
