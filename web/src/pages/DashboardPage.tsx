import { ActionIcon, Button, Menu, Tooltip, Switch } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useCallback, useEffect, useMemo, useState } from "react";
import { dashboardByUid, type DashboardAnswer } from "../api/grafana";
import { Icon } from "../components/Icon";
import { Link } from "../components/Link";
import { Empty, ErrorNote, Loading } from "../components/Notes";
import { PageHead } from "../components/Shell";
import { TimePicker } from "../components/TimePicker";
import { save } from "../components/save";
import { DashboardContext, type DashboardView } from "../dashboard/context";
import { DashboardLinks } from "../dashboard/DashboardLinks";
import { PanelBox } from "../dashboard/PanelBox";
import { useMarks } from "../dashboard/useMarks";
import { useVariables } from "../dashboard/useVariables";
import { VariableBar } from "../dashboard/VariableBar";
import { loadDashboard } from "../model/dashboard/load";
import { narrow } from "../model/dashboard/layout";
import { repeatSections } from "../model/dashboard/repeat";
import type { Dashboard, Section } from "../model/dashboard/types";
import { refreshIntervals } from "../model/time/quick";
import { interpolate, type Scope } from "../model/variables/interpolate";
import { setParams, usePlace } from "../state/location";
import { useSession } from "../state/session";
import { useShortcuts } from "../state/shortcuts";
import { useTime } from "../state/time";
import { useLoad } from "../state/useLoad";

export function DashboardPage({ uid }: { uid: string }) {
  const { data, error, loading, reload } = useLoad(uid, (signal) => dashboardByUid(uid, signal));
  const dashboard = useMemo(() => (data === undefined ? undefined : loadDashboard(data.dashboard)), [data]);
  if (error !== undefined) return <div className="page"><ErrorNote title="The dashboard could not be opened" text={error} onRetry={reload} /></div>;
  if (data === undefined || dashboard === undefined) return loading ? <Loading what="the dashboard" /> : null;
  return <Opened dashboard={dashboard} meta={data.meta} />;
}

function Row({ section, scope, folded, onFold }: { section: Section; scope: Scope; folded: boolean; onFold: () => void }) {
  return (
    <button type="button" className="row-head" aria-expanded={!folded} onClick={onFold}>
      <Icon name={folded ? "right" : "down"} size={16} />
      {interpolate(section.title ?? "", { ...scope, own: section.scope }, "text")}
      {folded && <span className="muted">({section.panels.length} panels)</span>}
    </button>
  );
}

function Sections({ sections, scope }: { sections: readonly Section[]; scope: Scope }) {
  const { params } = usePlace();
  const viewed = params.get("viewPanel");
  const phone = useMediaQuery("(max-width: 720px)") === true;
  const [folded, setFolded] = useState<Readonly<Record<string, boolean>>>({});
  const one = viewed === null ? undefined : sections.flatMap((s) => s.panels).find((p) => p.key === viewed || `panel-${p.key}` === viewed || String(p.id) === viewed);
  useShortcuts(viewed === null ? [] : [{ keys: "Esc", what: "Back from the panel to the dashboard", run: () => setParams({ viewPanel: undefined }) }]);
  if (one !== undefined) return <div className="grid"><PanelBox key={one.key} panel={one} viewed /></div>;
  return sections.map((section) => {
    const closed = folded[section.key] ?? section.collapsed;
    return (
      <section key={section.key}>
        {section.title !== undefined && <Row section={section} scope={scope} folded={closed} onFold={() => setFolded((f) => ({ ...f, [section.key]: !closed }))} />}
        {!closed && (
          <div className="grid">
            {(phone ? narrow(section.panels) : section.panels).map((panel) => (
              <PanelBox key={panel.key} panel={panel} viewed={false} />
            ))}
          </div>
        )}
      </section>
    );
  });
}

function Opened({ dashboard, meta }: { dashboard: Dashboard; meta: DashboardAnswer["meta"] }) {
  const { user, sources } = useSession();
  const { params } = usePlace();
  const defaults = useMemo(() => ({ time: dashboard.time, refresh: dashboard.refresh, zone: dashboard.timezone, nowDelay: dashboard.nowDelay }), [dashboard]);
  const time = useTime(defaults);
  const zone = time.zone;
  const base = useMemo(
    () => ({ own: {}, range: time.range, zone, dashboard: { uid: dashboard.uid, title: dashboard.title }, user: { login: user.login, id: String(user.id), email: user.email }, extra: {} }),
    [time.range, zone, dashboard, user],
  );
  const { states, ready } = useVariables({ variables: dashboard.variables, params, range: time.range, sources, scope: base });
  const scope = useMemo((): Scope => ({ ...base, variables: states }), [base, states]);
  const sections = useMemo(() => repeatSections(dashboard.sections, states), [dashboard.sections, states]);
  const [off, setOff] = useState<Readonly<Record<string, boolean>>>({});
  const marks = useMarks(dashboard, scope, ready, off);
  const view = useMemo((): DashboardView => ({ dashboard, time, zone, scope, marks, ready }), [dashboard, time, zone, scope, marks, ready]);
  const kiosk = params.has("kiosk");
  const toggleKiosk = useCallback(() => setParams({ kiosk: kiosk ? undefined : "1" }), [kiosk]);
  useShortcuts([{ keys: "d k", what: "Only the panels (kiosk)", run: toggleKiosk }]);
  useEffect(() => {
    document.title = `${dashboard.title} – Reba`;
    return () => {
      document.title = "Reba";
    };
  }, [dashboard.title]);
  const annotations = dashboard.annotations.filter((a) => !a.hide && !a.builtIn);
  return (
    <DashboardContext value={view}>
      <div className={kiosk ? "page full kiosk" : "page full"}>
        {!kiosk && (
          <PageHead
            title={
              <>
                <Link to="/dashboards" className="crumb">
                  {meta.folderTitle || "Dashboards"} /
                </Link>{" "}
                {dashboard.title}
              </>
            }
          >
            {!dashboard.hideTimePicker && <TimePicker time={time} intervals={dashboard.refreshIntervals.length > 0 ? dashboard.refreshIntervals : refreshIntervals} />}
            <Menu position="bottom-end">
              <Menu.Target>
                <ActionIcon variant="default" size={32} aria-label="More for this dashboard">
                  <Icon name="more" size={18} />
                </ActionIcon>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Item leftSection={<Icon name="view" size={16} />} onClick={toggleKiosk}>Only the panels (d k)</Menu.Item>
                <Menu.Item leftSection={<Icon name="copy" size={16} />} onClick={() => void navigator.clipboard.writeText(window.location.href)}>Copy the link</Menu.Item>
                <Menu.Item leftSection={<Icon name="download" size={16} />} onClick={() => save(`${dashboard.title}.json`, "application/json", JSON.stringify(dashboard.raw, null, 2))}>Export JSON</Menu.Item>
                {meta.provisioned && <Menu.Label maw={320} style={{ overflowWrap: "anywhere" }}>Provisioned from {meta.provisionedFile}</Menu.Label>}
              </Menu.Dropdown>
            </Menu>
          </PageHead>
        )}
        {(states.length > 0 || dashboard.links.length > 0 || annotations.length > 0) && (
          <div className="variables">
            <VariableBar states={states} />
            {annotations.map((a) => (
              <Switch key={a.name} size="xs" label={a.name} checked={!(off[a.name] ?? !a.enable)} onChange={(e) => { const on = e.currentTarget.checked; setOff((o) => ({ ...o, [a.name]: !on })); }} />
            ))}
            <DashboardLinks links={dashboard.links} scope={scope} raw={time.raw} />
          </div>
        )}
        {dashboard.notices.map((n) => (
          <div key={n} className="note">{n}</div>
        ))}
        {dashboard.sections.length === 0 && <Empty title="This dashboard has no panels" />}
        <Sections sections={sections} scope={scope} />
        {kiosk && (
          <Tooltip label="Back (d k)">
            <Button variant="default" size="compact-sm" style={{ position: "fixed", right: 12, bottom: 12 }} onClick={toggleKiosk}>Show all</Button>
          </Tooltip>
        )}
      </div>
    </DashboardContext>
  );
}
