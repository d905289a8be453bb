/** Line icons on a grid of 24, drawn for this app. */
const paths = {
  dashboards: "M4 4h7v9H4zM13 4h7v5h-7zM13 11h7v9h-7zM4 15h7v5H4z",
  explore: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM15.500 8.500l-2 5-5 2 2-5z",
  alerts: "M6 17V11a6 6 0 0 1 12 0v6l1.500 2h-15zM10 21h4",
  status: "M3 12h4l2.500-7 5 14 2.500-7h4",
  search: "M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM15.500 15.500L20 20",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.500 2",
  refresh: "M20 11a8 8 0 1 0-.6 4M20 4v7h-7",
  zoomOut: "M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM15.500 15.500L20 20M7.500 10.500h6",
  left: "M14.500 6l-6 6 6 6",
  right: "M9.500 6l6 6-6 6",
  down: "M6 9.500l6 6 6-6",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M5 5l1.800 1.800M17.200 17.200L19 19M5 19l1.800-1.800M17.200 6.800L19 5",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500z",
  menu: "M4 7h16M4 12h16M4 17h16",
  more: "M12 5.500v.01M12 12v.01M12 18.500v.01",
  close: "M6 6l12 12M18 6L6 18",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 11v5M12 8v.01",
  warning: "M12 4L2.500 20h19zM12 10v4.500M12 17.200v.01",
  view: "M2.500 12c2.500-4.500 5.700-6.500 9.500-6.500s7 2 9.500 6.500c-2.500 4.500-5.700 6.500-9.500 6.500s-7-2-9.500-6.500zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.700-5.700L12 7M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.700 5.700L12 17",
  external: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
  keyboard: "M3 7h18v10H3zM7 10.500v.01M10.300 10.500v.01M13.700 10.500v.01M17 10.500v.01M8 14h8",
  download: "M12 4v11M7.500 11l4.500 4.500 4.500-4.500M5 20h14",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  play: "M7 5l12 7-12 7z",
  pause: "M8 5v14M16 5v14",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  check: "M5 13l4.500 4.500L19 7",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.500 21c.8-4 3.600-6 7.500-6s6.700 2 7.500 6",
  chart: "M4 4v16h16M7.500 14l3.500-4 3 2.500L19 7",
  table: "M4 5h16v14H4zM4 10h16M4 14.500h16M10 5v14",
  list: "M8 6h12M8 12h12M8 18h12M4 6v.01M4 12v.01M4 18v.01",
  filter: "M4 5h16l-6.500 7.500V19l-3-1.500v-5z",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  save: "M5 4h11l4 4v12H5zM8 4v5h7V4M8 20v-6h9v6",
  undo: "M9 6L4 11l5 5M4 11h10a4.500 4.500 0 0 1 0 9h-3",
  history: "M4 12a8 8 0 1 0 2.500-5.800M4 4v4h4M12 8v4.500l3 2",
  settings: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 2.500v3M12 18.500v3M4 7l2.600 1.500M17.400 15.500L20 17M4 17l2.600-1.500M17.400 8.500L20 7",
  upload: "M12 15V4M7.500 8L12 3.500 16.500 8M5 20h14",
  grip: "M9 6v.01M15 6v.01M9 12v.01M15 12v.01M9 18v.01M15 18v.01",
  star: "M12 3.500l2.600 5.400 5.900.8-4.300 4.100 1 5.900-5.200-2.800-5.200 2.800 1-5.900-4.300-4.100 5.900-.8z",
  dashboard: "M4 17a8 8 0 1 1 16 0M12 17l4-5",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.800" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
