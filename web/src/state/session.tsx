import { createContext, useContext } from "react";
import type { User } from "../api/grafana";
import type { DatasourceInfo } from "../model/dashboard/datasource";

export interface Session {
  user: User;
  sources: readonly DatasourceInfo[];
}

export const SessionContext = createContext<Session | undefined>(undefined);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === undefined) throw new Error("Only inside of SessionContext.");
  return session;
}

/** The data source of a kind that pages without a choice use: the default one, else the first. */
export function useSource(type: string): DatasourceInfo | undefined {
  const { sources } = useSession();
  const ofType = sources.filter((s) => s.type === type);
  return ofType.find((s) => s.isDefault) ?? ofType[0];
}
