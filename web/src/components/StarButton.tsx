import { ActionIcon, Tooltip } from "@mantine/core";
import { useState } from "react";
import { star } from "../api/grafana";
import { wordsFor } from "../api/http";
import { Icon } from "./Icon";

/** Marks a dashboard as one of a person's own; what is marked stands first in the list. */
export function StarButton({ uid, title, starred, onDone }: { uid: string; title: string; starred: boolean; onDone?: () => void }) {
  // Until the server's word is read again, what was clicked counts.
  const [clicked, setClicked] = useState<boolean>();
  const [failed, setFailed] = useState<string>();
  const on = clicked ?? starred;
  const toggle = () => {
    setClicked(!on);
    setFailed(undefined);
    star(uid, !on).then(onDone, (error: unknown) => {
      setClicked(on);
      setFailed(wordsFor(error));
    });
  };
  return (
    <Tooltip label={failed ?? (on ? "No longer among yours" : "Among yours")}>
      <ActionIcon variant="subtle" color="gray" size={30} aria-label={`Star ${title}`} aria-pressed={on} onClick={toggle} className={on ? "star on" : "star"}>
        <Icon name="star" size={16} />
      </ActionIcon>
    </Tooltip>
  );
}
