import { createContext, useContext } from "react";
import type { Dashboard } from "../model/dashboard/types";
import type { Scope } from "../model/variables/interpolate";
import type { Mark } from "../panels/types";
import type { TimeState } from "../state/time";

/** What the panels of one dashboard share. */
export interface DashboardView {
  dashboard: Dashboard;
  time: TimeState;
  zone: string;
  scope: Scope;
  marks: readonly Mark[];
  ready: boolean;
  /** Remarks of people are read anew; absent for who may make none. */
  annotated?: () => void;
  /** What may be done to panels by who reads; nothing for a viewer. */
  edit?: PanelActions;
}

export interface PanelActions {
  /** Opens the panel's editor, and editing with it. */
  open: (id: number) => void;
  /** Only while the dashboard is being edited. */
  duplicate?: (id: number) => void;
  remove?: (id: number) => void;
  rows?: readonly { id: number; title: string }[];
  moveTo?: (id: number, row: number) => void;
}

export const DashboardContext = createContext<DashboardView | undefined>(undefined);

export function useDashboard(): DashboardView {
  const view = useContext(DashboardContext);
  if (view === undefined) throw new Error("Only inside of DashboardContext.");
  return view;
}
