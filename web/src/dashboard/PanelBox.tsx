import { Menu, Tooltip } from "@mantine/core";
import { Component, lazy, memo, Suspense, useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { Icon } from "../components/Icon";
import { Loading } from "../components/Notes";
import { useSize } from "../components/useSize";
import type { Panel } from "../model/dashboard/types";
import { rowCount } from "../model/data/frame";
import { asString, isObject } from "../model/json";
import type { Range } from "../model/time/range";
import { interpolate } from "../model/variables/interpolate";
import { kindOf, tablePanel } from "../panels/registry";
import { setParams } from "../state/location";
import { useIsDark } from "../state/scheme";
import { exploreHref, safeHref } from "./links";
import { useDashboard } from "./context";
import { usePanelData, type PanelData } from "./usePanelData";

const NoData = lazy(() => import("./NoData").then((m) => ({ default: m.NoData })));
const Remark = lazy(() => import("./Remark").then((m) => ({ default: m.Remark })));
const Inspect = lazy(() => import("./Inspect").then((m) => ({ default: m.Inspect })));
const Markdown = lazy(() => import("../components/Markdown").then((m) => ({ default: m.Markdown })));

/** A panel that fails to draw says so and leaves the others alone. */
class Guard extends Component<{ children: ReactNode; resetKey: unknown }, { error?: string }> {
  override state: { error?: string } = {};
  static getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
  override componentDidUpdate(before: { resetKey: unknown }) {
    if (before.resetKey !== this.props.resetKey && this.state.error !== undefined) this.setState({});
  }
  override render() {
    if (this.state.error === undefined) return this.props.children;
    return <div className="panel-message panel-bad">This panel could not be drawn: {this.state.error}</div>;
  }
}

/** Why a panel is a table, or nothing. */
function notDrawn({ type, raw }: Panel): string {
  if (type === "news") return "The news of other sites are not fetched: this program asks no other host.";
  if (isObject(raw["libraryPanel"])) return `This is the library panel “${asString(raw["libraryPanel"]["name"])}”. Libraries are not kept here: export the dashboard with its library panels in it.`;
  return `Panels of the type “${type}” are not drawn here.`;
}

/** Kinds that have a text for the lack of a value. */
const showsValues = new Set(["stat", "gauge", "bargauge"]);

function useVisible() {
  const ref = useRef<HTMLElement>(null);
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    const observer = new IntersectionObserver((entries) => setVisible(entries.some((e) => e.isIntersecting)), { rootMargin: "200px" });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, visible] as const;
}

function Body({ panel, data, width, height, onAnnotate }: { panel: Panel; data: PanelData; width: number; height: number; onAnnotate: ((range: Range) => void) | undefined }) {
  const { dashboard, time, zone, marks } = useDashboard();
  const isDark = useIsDark();
  const kind = kindOf(panel.type);
  const text = useCallback((template: string, style: "text" | "url") => interpolate(template, data.scope, style), [data.scope]);
  const context = useMemo(() => ({ zone, now: data.range.to }), [zone, data.range]);
  const Draw = (kind ?? tablePanel).draw;
  const rows = data.frames.reduce((n, f) => n + rowCount(f), 0);
  const failed = data.errors[0];
  if (width === 0 || height === 0 || (data.first && kind?.standsAlone !== true)) return null;
  if (failed !== undefined && rows === 0) return <div className="panel-message panel-bad" role="alert">{failed}</div>;
  if (panel.type === "row") return null;
  if (rows === 0 && kind?.standsAlone !== true) {
    if (panel.targets.length === 0) return <div className="panel-message">{kind === undefined ? notDrawn(panel) : "This panel asks nothing."}</div>;
    const instead = panel.fieldConfig.defaults["noValue"];
    if (typeof instead === "string" && instead !== "" && kind !== undefined && showsValues.has(panel.type)) return <div className="panel-message no-value">{instead}</div>;
    return (
      <Suspense fallback={<div className="panel-message">No data</div>}>
        <NoData results={data.results} />
      </Suspense>
    );
  }
  return (
    <Guard resetKey={data.frames}>
      <Suspense fallback={<Loading what={panel.title} />}>
        {kind === undefined && <div className="muted">{notDrawn(panel)} This is its data.</div>}
        <Draw
          panel={panel}
          frames={data.frames}
          exemplars={data.exemplars}
          marks={marks}
          range={data.range}
          zone={zone}
          isDark={isDark}
          width={width}
          height={height}
          context={context}
          {...(dashboard.graphTooltip === 0 ? {} : { syncKey: dashboard.uid })}
          onZoom={time.zoomTo}
          {...(onAnnotate === undefined ? {} : { onAnnotate })}
          text={text}
        />
      </Suspense>
    </Guard>
  );
}

/** The panel as it stands, as a file. */
async function savePicture(element: HTMLElement | null, title: string): Promise<void> {
  if (element === null) return;
  const [{ pictureOf }, { save }] = await Promise.all([import("../components/picture"), import("../components/save")]);
  try {
    save(`${title || "panel"}.png`, "image/png", await pictureOf(element, getComputedStyle(document.body).backgroundColor));
  } catch (error) {
    window.alert(`The picture could not be made: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function PanelMenu({ panel, data, onInspect, onPicture, viewed }: { panel: Panel; data: PanelData; onInspect: () => void; onPicture: () => void; viewed: boolean }) {
  const explore = exploreHref(data);
  const { edit } = useDashboard();
  const share = () => {
    const url = new URL(window.location.href);
    url.searchParams.set("viewPanel", panel.key);
    for (const [key, at] of [["from", data.range.from], ["to", data.range.to]] as const) url.searchParams.set(key, String(Math.round(at)));
    url.searchParams.delete("editPanel");
    void navigator.clipboard.writeText(url.href);
  };
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <button type="button" className="panel-tool panel-menu" aria-label={`Menu of ${panel.title || "the panel"}`}>
          <Icon name="more" size={18} />
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<Icon name="view" size={16} />} onClick={() => setParams({ viewPanel: viewed ? undefined : panel.key })}>
          {viewed ? "Back to the dashboard" : "View alone"}
        </Menu.Item>
        {edit !== undefined && (
          <Menu.Item leftSection={<Icon name="edit" size={16} />} onClick={() => edit.open(panel.id)}>
            Edit
          </Menu.Item>
        )}
        {explore !== undefined && (
          <Menu.Item leftSection={<Icon name="explore" size={16} />} component="a" href={explore}>
            Explore
          </Menu.Item>
        )}
        <Menu.Item leftSection={<Icon name="table" size={16} />} onClick={onInspect}>
          Inspect
        </Menu.Item>
        <Menu.Item leftSection={<Icon name="link" size={16} />} onClick={share}>
          Copy a link to it
        </Menu.Item>
        <Menu.Item leftSection={<Icon name="download" size={16} />} onClick={onPicture}>
          Save as a picture
        </Menu.Item>
        {edit?.duplicate !== undefined && (
          <>
            <Menu.Divider />
            <Menu.Item leftSection={<Icon name="copy" size={16} />} onClick={() => edit.duplicate?.(panel.id)}>
              Duplicate
            </Menu.Item>
            {(edit.rows ?? []).length > 1 && edit.rows?.map((r) => (
              <Menu.Item key={r.id} leftSection={<Icon name="right" size={16} />} onClick={() => edit.moveTo?.(panel.id, r.id)}>
                To {r.id === 0 ? "the top" : `“${r.title}”`}
              </Menu.Item>
            ))}
            <Menu.Item color="red" leftSection={<Icon name="close" size={16} />} onClick={() => edit.remove?.(panel.id)}>
              Remove
            </Menu.Item>
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

export const PanelBox = memo(function PanelBox({ panel, viewed, filling = false }: { panel: Panel; viewed: boolean; /** As large as what it stands in. */ filling?: boolean }) {
  const [ref, visible] = useVisible();
  const [body, size] = useSize<HTMLDivElement>();
  const [inspecting, setInspecting] = useState(false);
  const [remarked, setRemarked] = useState<Range>();
  const { annotated } = useDashboard();
  const data = usePanelData(panel, size.width, visible || viewed || filling);
  const title = interpolate(panel.title, data.scope, "text");
  const description = interpolate(panel.description, data.scope, "text");
  const ownTime = panel.hideTimeOverride ? "" : [panel.timeFrom === undefined ? "" : `last ${panel.timeFrom.replace(/^now-/, "")}`, panel.timeShift === undefined ? "" : `${panel.timeShift} earlier`].filter(Boolean).join(", ");
  const { x, y, w, h } = panel.grid;
  const style = filling ? { height: "100%" } : viewed ? { height: "calc(100vh - var(--above, 170px))", minHeight: 320, gridColumn: "1 / -1" } : { gridColumn: `${x + 1} / span ${w}`, gridRow: `${y + 1} / span ${h}` };
  // The padding of the body is not for drawing.
  const inner = { width: Math.max(0, size.width - 16), height: Math.max(0, size.height - (title === "" ? 16 : 10)) };
  return (
    <section ref={ref} className={panel.transparent ? "panel transparent" : "panel"} style={style} aria-label={title || panel.type} data-panel={panel.key} data-state={data.first ? "loading" : data.errors.length > 0 ? "error" : "done"}>
      {data.loading && <div className="panel-loading" />}
      {(title !== "" || filling || data.errors.length > 0 || data.notices.length > 0) && (
        <header className="panel-head">
          <h3 title={title}>{title}</h3>
          {description !== "" && (
            <Tooltip multiline maw={360} withinPortal label={<Suspense fallback={description}><Markdown text={description} /></Suspense>}>
              <button type="button" className="panel-tool" aria-label={`About: ${description}`}>
                <Icon name="info" size={14} />
              </button>
            </Tooltip>
          )}
          {ownTime !== "" && <span className="panel-time">{ownTime}</span>}
          <span className="spring" />
          {data.errors.length > 0 && (
            <Tooltip multiline maw={360} label={data.errors.join("\n")}>
              <button type="button" className="panel-tool panel-bad" aria-label={`Failed: ${data.errors.join("; ")}`} onClick={() => setInspecting(true)}>
                <Icon name="warning" size={15} />
              </button>
            </Tooltip>
          )}
          {data.notices.length > 0 && (
            <Tooltip multiline maw={360} label={data.notices.join("\n")}>
              <button type="button" className="panel-tool panel-warn" aria-label={`Notice: ${data.notices.join("; ")}`}>
                <Icon name="warning" size={14} />
              </button>
            </Tooltip>
          )}
          {panel.links.map((l) => (
            <a key={l.url} className="panel-tool" href={safeHref(interpolate(l.url, data.scope, "url"))} target={l.targetBlank ? "_blank" : undefined} rel="noreferrer" title={interpolate(l.title, data.scope, "text")}>
              <Icon name="link" size={14} />
            </a>
          ))}
          <PanelMenu panel={panel} data={data} onInspect={() => setInspecting(true)} onPicture={() => void savePicture(ref.current, title)} viewed={viewed} />
        </header>
      )}
      <div ref={body} className={title === "" ? "panel-body untitled" : "panel-body"}>
        <Body panel={panel} data={data} width={inner.width} height={inner.height} onAnnotate={annotated === undefined ? undefined : setRemarked} />
      </div>
      {remarked !== undefined && (
        <Suspense fallback={null}>
          <Remark panelId={panel.id} range={remarked} onClose={() => setRemarked(undefined)} onDone={() => annotated?.()} />
        </Suspense>
      )}
      {inspecting && (
        <Suspense fallback={null}>
          <Inspect panel={panel} data={data} title={title} onClose={() => setInspecting(false)} />
        </Suspense>
      )}
    </section>
  );
});
