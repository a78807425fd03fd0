//! The shop's pictures: one small drawing per product, flat shapes on a tinted ground.
import type { JSX } from "preact";

/** Dark on a light ground, light on a dark one. */
const ink = "var(--drawn)";
const oak = "#c99a64";
const oakDark = "#a9794a";
const brass = "#c9a24b";
const cream = "#f4ead8";
const clay = "#c2714f";
const clayDark = "#a2583a";
const slate = "#6f8791";
const slateDark = "#52686f";
const moss = "#6e8560";
const mossDark = "#536849";
const steel = "#b9bfc2";
const steelDark = "#8d9598";
const glow = "#ffd98a";
const rose = "#d9a59a";

type Drawing = { ground: string; draw: JSX.Element; hangs?: true };

const drawings: Record<string, Drawing> = {
  "alba-table-lamp": {
    ground: "sand",
    draw: (
      <>
        <ellipse cx="100" cy="104" rx="66" ry="30" fill={glow} opacity=".45" />
        <path d="M70 40h60l18 62H52z" fill={cream} />
        <path d="M112 40h18l18 62h-28z" fill="#e6d6bb" />
        <path d="M95 102h10v54H95z" fill={oak} />
        <path d="M76 156h48a8 8 0 0 1 8 8H68a8 8 0 0 1 8-8z" fill={oakDark} />
      </>
    ),
  },
  "orbit-pendant": {
    ground: "slate",
    hangs: true,
    draw: (
      <>
        <linearGradient id="pool" x2="0" y2="1">
          <stop stop-color={glow} stop-opacity=".55" />
          <stop offset="1" stop-color={glow} stop-opacity="0" />
        </linearGradient>
        <path d="M42 112h116l22 88H20z" fill="url(#pool)" />
        <path d="M100 0v62" stroke="#6f6154" stroke-width="2" />
        <path d="M40 112a60 54 0 0 1 120 0z" fill={clay} />
        <path d="M118 61a60 54 0 0 1 42 51h-30c0-22-5-40-12-51z" fill={clayDark} />
        <ellipse cx="100" cy="112" rx="60" ry="9" fill="#ffe9b8" />
        <rect x="93" y="52" width="14" height="10" rx="3" fill="#6f6154" />
      </>
    ),
  },
  "reed-floor-lamp": {
    ground: "moss",
    draw: (
      <>
        <path d="M128 178C122 110 104 70 74 44" fill="none" stroke={ink} stroke-width="4" stroke-linecap="round" />
        <path d="M46 62 74 34l20 26-34 30z" fill={cream} />
        <path d="M60 90 94 60l-6-9-34 31z" fill={glow} />
        <ellipse cx="128" cy="180" rx="32" ry="7" fill={ink} />
      </>
    ),
  },
  "clip-reading-light": {
    ground: "sand",
    draw: (
      <>
        <path d="M66 168V92c0-30 40-34 52-12" fill="none" stroke={slateDark} stroke-width="7" stroke-linecap="round" />
        <path d="M104 62l50 22-16 28-46-22z" fill={slate} />
        <path d="M138 112l16-28 8 6-12 26z" fill={glow} />
        <rect x="44" y="146" width="46" height="12" rx="4" fill={ink} />
        <rect x="44" y="166" width="46" height="12" rx="4" fill={ink} />
      </>
    ),
  },
  "ember-candle-holder": {
    ground: "rose",
    draw: (
      <>
        <path d="M100 44c10 12 12 20 0 28-12-8-10-16 0-28z" fill={glow} />
        <rect x="90" y="72" width="20" height="62" rx="3" fill={cream} />
        <path d="M62 134h76l-10 26H72z" fill={ink} />
        <path d="M112 134h26l-10 26h-22z" fill="#2a241e" />
      </>
    ),
  },
  "mist-mug": {
    ground: "sand",
    draw: (
      <>
        <path d="M130 88h14a20 20 0 0 1 0 46h-14" fill="none" stroke={slateDark} stroke-width="10" />
        <path d="M54 66h80v70a24 24 0 0 1-24 24H78a24 24 0 0 1-24-24z" fill={slate} />
        <path d="M110 66h24v70a24 24 0 0 1-24 24h-8c6-6 8-14 8-24z" fill={slateDark} />
        <ellipse cx="94" cy="66" rx="40" ry="9" fill="#94a9b1" />
      </>
    ),
  },
  "dune-vase": {
    ground: "rose",
    draw: (
      <g transform="translate(10 17.6) scale(.9)">
        <path d="M98 78C94 48 86 34 64 26M102 78c4-30 12-44 34-52M100 78V20" fill="none" stroke={mossDark} stroke-width="3" stroke-linecap="round" />
        <g fill={moss}>
          <path d="M70 28c-4-16-18-20-30-14 4 12 16 20 30 14z" />
          <path d="M128 28c4-16 18-20 30-14-4 12-16 20-30 14z" />
          <path d="M100 30c-10-8-10-20 0-28 10 8 10 20 0 28z" />
        </g>
        <path d="M88 76h24c0 22 32 34 32 66 0 22-18 34-44 34s-44-12-44-34c0-32 32-44 32-66z" fill="#dcc09a" />
        <path d="M104 76h8c0 22 32 34 32 66 0 22-18 34-40 34 14-10 20-24 16-44-4-22-16-32-16-56z" fill={oak} />
      </g>
    ),
  },
  "tide-bowl": {
    ground: "slate",
    draw: (
      <>
        <path d="M32 92h136c0 44-30 68-68 68S32 136 32 92z" fill={cream} />
        <path d="M38 118c24-14 44 12 66 0s38-10 60-4c-8 30-33 46-64 46-30 0-54-14-62-42z" fill={slateDark} />
        <ellipse cx="100" cy="92" rx="68" ry="12" fill="#e8dcc4" />
      </>
    ),
  },
  "pebble-teapot": {
    ground: "moss",
    draw: (
      <>
        <path d="M70 74c0-30 60-30 60 0" fill="none" stroke={oakDark} stroke-width="7" />
        <path d="M142 106c18-4 22-22 34-26l4 8c-10 8-12 32-34 40z" fill="#57534c" />
        <ellipse cx="96" cy="120" rx="60" ry="44" fill="#6b665e" />
        <path d="M110 78c30 6 46 22 46 42 0 24-24 44-56 44 26-20 36-56 10-86z" fill="#57534c" />
        <ellipse cx="98" cy="78" rx="24" ry="7" fill="#817b72" />
        <circle cx="98" cy="68" r="6" fill={oakDark} />
      </>
    ),
  },
  "speck-plate": {
    ground: "sand",
    draw: (
      <>
        <circle cx="100" cy="102" r="68" fill={cream} />
        <circle cx="100" cy="102" r="68" fill="none" stroke="#d9c7a6" stroke-width="6" />
        <circle cx="100" cy="102" r="44" fill="#efe2ca" />
        <g fill={oakDark}>
          <circle cx="82" cy="86" r="2" />
          <circle cx="118" cy="80" r="1.6" />
          <circle cx="124" cy="116" r="2.2" />
          <circle cx="92" cy="124" r="1.6" />
          <circle cx="104" cy="100" r="1.4" />
          <circle cx="60" cy="112" r="2" />
          <circle cx="136" cy="62" r="1.8" />
          <circle cx="74" cy="150" r="1.8" />
        </g>
      </>
    ),
  },
  "fjord-wool-throw": {
    ground: "sand",
    draw: (
      <>
        <path d="M48 44h104v112H48z" fill={slate} />
        <path d="M48 66h104v16H48zM48 118h104v16H48z" fill={cream} />
        <path d="M48 92h104v14H48z" fill={clay} />
        <path d="M124 44h28v112h-28z" fill="#000" opacity=".1" />
        <path d="M52 156v14M64 156v14M76 156v14M88 156v14M100 156v14M112 156v14M124 156v14M136 156v14M148 156v14" stroke={slateDark} stroke-width="3" stroke-linecap="round" />
      </>
    ),
  },
  "linen-cushion": {
    ground: "moss",
    draw: (
      <>
        <path d="M44 52c38 8 74 8 112 0-8 34-8 66 0 100-38-8-74-8-112 0 8-34 8-66 0-100z" fill={rose} />
        <path d="M156 52c-8 34-8 66 0 100-20-4-40-6-58-6 24-22 44-56 58-94z" fill="#c78d80" />
        <path d="M70 74c20 4 40 4 60 0" fill="none" stroke="#c78d80" stroke-width="2" />
      </>
    ),
  },
  "heron-bath-towel": {
    ground: "slate",
    draw: (
      <>
        <rect x="46" y="54" width="108" height="30" rx="14" fill={cream} />
        <rect x="46" y="88" width="108" height="30" rx="14" fill="#e6d6bb" />
        <rect x="46" y="122" width="108" height="30" rx="14" fill={cream} />
        <path d="M120 54v30M128 54v30M120 122v30M128 122v30" stroke={clay} stroke-width="3" />
        <path d="M120 88v30M128 88v30" stroke={clayDark} stroke-width="3" />
      </>
    ),
  },
  "moss-rug": {
    ground: "sand",
    draw: (
      <>
        <path d="M62 58h76l34 92H28z" fill={moss} />
        <path d="M74 72h52l22 64H52z" fill="none" stroke="#93a884" stroke-width="4" />
        <path d="M92 88h16l8 32H84z" fill={mossDark} />
        <path d="M28 150h144v7H28z" fill={mossDark} />
      </>
    ),
  },
  "tea-towel-pair": {
    ground: "rose",
    draw: (
      <>
        <path d="M36 44h128" stroke={oakDark} stroke-width="6" stroke-linecap="round" />
        <path d="M52 44h42v104H52z" fill={cream} />
        <path d="M60 44v104M68 44v104M78 44v104M86 44v104" stroke={slate} stroke-width="3" />
        <path d="M106 44h42v88h-42z" fill={slate} />
        <path d="M132 44h16v88h-16z" fill={slateDark} />
      </>
    ),
  },
  "oak-board": {
    ground: "moss",
    draw: (
      <>
        <path d="M72 32h56a12 12 0 0 1 12 12v116a12 12 0 0 1-12 12H72a12 12 0 0 1-12-12V44a12 12 0 0 1 12-12z" fill={oak} />
        <circle cx="100" cy="54" r="10" fill="#dfe3d5" />
        <path d="M78 76c6 30-4 50 2 92M100 74c4 30-6 60 0 96M122 76c-4 40 6 60 0 92" fill="none" stroke={oakDark} stroke-width="2" />
      </>
    ),
  },
  "pour-over-kettle": {
    ground: "rose",
    draw: (
      <>
        <path d="M62 150C30 146 44 92 20 84" fill="none" stroke={steelDark} stroke-width="7" stroke-linecap="round" />
        <path d="M136 84c34-16 46 16 30 58" fill="none" stroke={ink} stroke-width="9" stroke-linecap="round" />
        <path d="M72 72h60l14 92H58z" fill={steel} />
        <path d="M112 72h20l14 92h-28z" fill={steelDark} />
        <ellipse cx="102" cy="72" rx="30" ry="7" fill="#d3d8da" />
        <circle cx="102" cy="62" r="6" fill={ink} />
      </>
    ),
  },
  "salt-cellar": {
    ground: "slate",
    draw: (
      <>
        <path d="M58 92h84v44a26 26 0 0 1-26 26H84a26 26 0 0 1-26-26z" fill={cream} />
        <path d="M118 92h24v44a26 26 0 0 1-26 26h-8c8-8 10-16 10-26z" fill="#e0cfae" />
        <path d="M50 78h100v16H50z" fill={oak} />
        <path d="M120 78h30v16h-30z" fill={oakDark} />
        <circle cx="100" cy="70" r="9" fill={oakDark} />
      </>
    ),
  },
  "chefs-knife": {
    ground: "sand",
    draw: (
      <>
        <path d="M30 138 134 34c12 18 8 40-8 58l-30 34z" fill={steel} />
        <path d="M30 138 134 34c4 8 6 14 5 22L44 146z" fill="#d5dadc" />
        <path d="m106 116 16-18 42 44a12 12 0 0 1-17 17z" fill={oakDark} />
        <g fill={brass}>
          <circle cx="124" cy="120" r="3" />
          <circle cx="140" cy="136" r="3" />
        </g>
      </>
    ),
  },
  "glass-carafe": {
    ground: "moss",
    draw: (
      <>
        <path d="M80 40h40v16H80z" fill="#cfe0e2" opacity=".9" />
        <path d="M86 56h28v28c0 14 24 26 24 56v18a10 10 0 0 1-10 10H72a10 10 0 0 1-10-10v-18c0-30 24-42 24-56z" fill="#dcebec" opacity=".85" />
        <path d="M63 130c20-8 54 8 74-2 1 4 1 8 1 12v18a10 10 0 0 1-10 10H72a10 10 0 0 1-10-10v-18c0-4 0-7 1-10z" fill="#9fc4c9" opacity=".85" />
        <path d="M76 134v26" stroke="#fff" stroke-width="4" stroke-linecap="round" opacity=".8" />
      </>
    ),
  },
  "field-notebook": {
    ground: "slate",
    draw: (
      <>
        <path d="M58 36h78a8 8 0 0 1 8 8v112a8 8 0 0 1-8 8H58z" fill={clay} />
        <path d="M58 36h14v128H58z" fill={clayDark} />
        <rect x="86" y="62" width="42" height="26" rx="2" fill={cream} />
        <path d="M93 71h28M93 79h18" stroke={clayDark} stroke-width="2" />
        <path d="M144 46v110" stroke={cream} stroke-width="4" />
      </>
    ),
  },
  "brass-pen": {
    ground: "sand",
    draw: (
      <>
        <path d="M44 156 138 50l14 12-94 106z" fill={brass} />
        <path d="m51 162 94-106 7 6-94 106z" fill="#a8832f" />
        <path d="m44 156-8 24 22-12z" fill={ink} />
        <path d="m138 50 12-14a9 9 0 0 1 14 12l-12 14z" fill="#a8832f" />
        <path d="m126 74 34-8" stroke={ink} stroke-width="4" stroke-linecap="round" />
      </>
    ),
  },
  "walnut-tray": {
    ground: "rose",
    draw: (
      <>
        <rect x="26" y="66" width="148" height="76" rx="14" fill="#7a5236" />
        <rect x="34" y="74" width="64" height="60" rx="9" fill="#634128" />
        <rect x="104" y="74" width="62" height="26" rx="9" fill="#634128" />
        <rect x="104" y="106" width="62" height="28" rx="9" fill="#634128" />
        <circle cx="58" cy="104" r="12" fill="none" stroke={brass} stroke-width="4" />
        <path d="M68 110l18 10" stroke={brass} stroke-width="4" stroke-linecap="round" />
        <circle cx="124" cy="87" r="6" fill={steel} />
        <circle cx="142" cy="87" r="8" fill={brass} />
      </>
    ),
  },
  "desk-clock": {
    ground: "moss",
    draw: (
      <>
        <path d="M60 158 48 172M140 158l12 14" stroke={oakDark} stroke-width="7" stroke-linecap="round" />
        <circle cx="100" cy="104" r="64" fill={oak} />
        <circle cx="100" cy="104" r="52" fill={cream} />
        <path d="M100 104V68M100 104l24 14" stroke={ink} stroke-width="5" stroke-linecap="round" />
        <path d="M100 104 76 132" stroke={clay} stroke-width="2.5" stroke-linecap="round" />
        <circle cx="100" cy="104" r="4" fill={ink} />
      </>
    ),
  },
};

const none: Drawing = { ground: "sand", draw: <circle cx="100" cy="100" r="50" fill={cream} /> };

export function Art({ id }: { id: string }) {
  const { ground, draw, hangs } = drawings[id] ?? none;
  return (
    <svg class={`art art-${ground}`} viewBox="0 0 200 200" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
      {!hangs && <ellipse class="art-shade" cx="100" cy="174" rx="70" ry="9" />}
      {draw}
    </svg>
  );
}
