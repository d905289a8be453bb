import { Icon } from "./Icon";

/** One page of several, and the ways to its neighbours; pages count from zero. */
export function Pager({ page, pages, onPage }: { page: number; pages: number; onPage: (page: number) => void }) {
  return (
    <div className="pager">
      <button type="button" className="panel-tool" aria-label="The page before" disabled={page <= 0} onClick={() => onPage(page - 1)}><Icon name="left" size={14} /></button>
      <span>{page + 1} of {pages}</span>
      <button type="button" className="panel-tool" aria-label="The next page" disabled={page >= pages - 1} onClick={() => onPage(page + 1)}><Icon name="right" size={14} /></button>
    </div>
  );
}
