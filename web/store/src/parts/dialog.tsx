//! A native dialog whose openness follows a signal; Esc and a click outside close it, focus returns by itself.
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icon.tsx";

export function Dialog(props: { open: Signal<boolean>; title: string; class: string; children: ComponentChildren }) {
  const { open } = props;
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    if (open.value && !dialog?.open) dialog?.showModal();
    if (!open.value && dialog?.open) dialog.close();
  }, [open.value]);
  return (
    <dialog
      ref={ref}
      class={props.class}
      aria-label={props.title}
      onClose={() => (open.value = false)}
      onClick={(event) => event.target === ref.current && (open.value = false)}
    >
      <div class="dialog-body">
        <div class="dialog-head">
          <h2>{props.title}</h2>
          <button type="button" class="tool" aria-label="Close" onClick={() => (open.value = false)}>
            <Icon name="close" />
          </button>
        </div>
        {open.value && props.children}
      </div>
    </dialog>
  );
}
