//! The console's line icons.
const paths = {
  pulse: "M2 12h5l2-7 5 14 3-9 1.5 2H22",
  overview: "M4 13h6V4H4v9Zm0 7h6v-4H4v4Zm10 0h6v-9h-6v9Zm0-16v4h6V4h-6Z",
  sessions: "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7 9c.6-4 3.3-6 7-6s6.4 2 7 6M16 4a4 4 0 0 1 0 7m2.5 3.500c2 .8 3.2 2.8 3.5 5.5",
  interventions: "M12 3l2.2 5.800L20 11l-5.8 2.200L12 19l-2.2-5.800L4 11l5.8-2.200L12 3Zm7 13v5m-2.5-2.500h5",
  "dead-letters": "M3 6h18v12H3V6Zm0 1 9 7 9-7",
  budget: "M12 21a8 8 0 1 0 0-16 8 8 0 0 0 0 16Zm0-12v4l3 2M9 2h6",
  features: "M4 6h10M18 6h2M4 12h2M10 12h10M4 18h8M16 18h4M16 4v4M8 10v4M14 16v4",
  theme: "M20 14.500A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.500Z",
  back: "M19 12H5m6-6-6 6 6 6",
  close: "M6 6l12 12M18 6 6 18",
} as const;

export function Icon({ name }: { name: keyof typeof paths }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">
      <path d={paths[name]} />
    </svg>
  );
}
