import { Button, Menu } from "@mantine/core";
import { searchDashboards } from "../api/grafana";
import { Icon } from "../components/Icon";
import type { DashboardLink } from "../model/dashboard/types";
import { interpolate, type Scope } from "../model/variables/interpolate";
import { hrefOf } from "../state/location";
import { useLoad } from "../state/useLoad";
import { linkHref, safeHref } from "./links";

interface Props {
  links: readonly DashboardLink[];
  scope: Scope;
  raw: { from: string; to: string };
}

function Anchor({ href, title, tooltip, blank }: { href: string; title: string; tooltip: string; blank: boolean }) {
  return (
    <Button component="a" variant="subtle" size="compact-sm" href={safeHref(href)} target={blank ? "_blank" : undefined} rel="noreferrer" title={tooltip} rightSection={blank ? <Icon name="external" size={13} /> : undefined}>
      {title}
    </Button>
  );
}

/** Dashboards with the tags of a link, found now. */
function Tagged({ link, scope, raw }: { link: DashboardLink } & Omit<Props, "links">) {
  const { data } = useLoad(link.tags.join(), (signal) => searchDashboards({ tag: link.tags, type: "dash-db" }, signal));
  const hits = (data ?? []).filter((h) => link.tags.every((t) => h.tags.includes(t)) && h.uid !== scope.dashboard.uid);
  if (link.asDropdown) {
    return (
      <Menu position="bottom-start" width={280}>
        <Menu.Target>
          <Button variant="subtle" size="compact-sm" rightSection={<Icon name="down" size={13} />}>{link.title || "Dashboards"}</Button>
        </Menu.Target>
        <Menu.Dropdown mah={380} style={{ overflowY: "auto" }}>
          {hits.map((h) => (
            <Menu.Item key={h.uid} component="a" href={safeHref(linkHref(link, hrefOf(h.url), scope, raw))} target={link.targetBlank ? "_blank" : undefined}>
              {h.title}
            </Menu.Item>
          ))}
          {hits.length === 0 && <Menu.Label>None</Menu.Label>}
        </Menu.Dropdown>
      </Menu>
    );
  }
  return hits.map((h) => <Anchor key={h.uid} href={linkHref(link, hrefOf(h.url), scope, raw)} title={h.title} tooltip="" blank={link.targetBlank} />);
}

export function DashboardLinks({ links, scope, raw }: Props) {
  if (links.length === 0) return null;
  return (
    <nav className="dash-links" aria-label="Links of the dashboard">
      {links.map((link, i) =>
        link.kind === "dashboards" ? (
          <Tagged key={i} link={link} scope={scope} raw={raw} />
        ) : (
          <Anchor key={i} href={linkHref(link, link.url, scope, raw)} title={interpolate(link.title, scope, "text") || link.url} tooltip={interpolate(link.tooltip, scope, "text")} blank={link.targetBlank} />
        ),
      )}
    </nav>
  );
}
